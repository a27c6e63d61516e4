-- Tell whether a linker still holds the lease of its attempt.
-- The linker has lost the lease when the attempt has ended, when another linker has taken the lease, or when the linker
-- has released it. A lease without a time of expiry was released, so a late call does not bring it back. A lease whose
-- time is over is not lost yet: its linker may renew it until another linker takes it.
-- Locks: nothing. The caller holds the attempt.
-- Writes: nothing.
CREATE OR REPLACE FUNCTION whatsapp_private.holds_lease_v1(p_attempt UUID, p_lease UUID) RETURNS BOOLEAN
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  RETURN EXISTS (
    SELECT FROM whatsapp_private.attempts a
    WHERE a.id = p_attempt AND a.lease_id = p_lease AND a.lease_expires_at IS NOT NULL AND a.ended_at IS NULL
  );
END;
$function$;

ALTER FUNCTION whatsapp_private.holds_lease_v1(UUID, UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.holds_lease_v1(UUID, UUID) FROM PUBLIC;
