-- Release an attempt: end the linker's lease, and store its verdict (p_verdict is NULL: it has none).
-- The session shows the verdict from then on. Without a verdict, another linker may try.
-- Locks: the user, then the attempt, then its devices.
-- Writes: attempts, devices, sessions. Never the session row.
-- Repeated: the same answer with a later version; the first verdict stays.
-- No row: the attempt has ended, or another linker has taken the lease.
CREATE OR REPLACE FUNCTION whatsapp_private.release_v1(
  p_attempt UUID, p_lease UUID, p_verdict TEXT, p_failed BOOLEAN
) RETURNS SETOF whatsapp_private.attempt_state
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
BEGIN
  UPDATE whatsapp_private.attempts a SET
    verdict = coalesce(a.verdict, p_verdict), failed = CASE WHEN a.verdict IS NULL THEN p_failed ELSE a.failed END,
    lease_expires_at = NULL, qr_expires_at = NULL
  WHERE a.id = p_attempt AND a.lease_id = p_lease AND a.ended_at IS NULL;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  UPDATE whatsapp_private.devices d SET lease_id = NULL, lease_expires_at = NULL
  WHERE d.attempt_id = p_attempt AND d.lease_id = p_lease;
  PERFORM whatsapp_private.note_change_v1(owner, NULL);
  RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
END;
$function$;

ALTER FUNCTION whatsapp_private.release_v1(UUID, UUID, TEXT, BOOLEAN) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.release_v1(UUID, UUID, TEXT, BOOLEAN) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.release_v1(UUID, UUID, TEXT, BOOLEAN) TO whatsapp_worker;
