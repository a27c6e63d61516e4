-- Let go of the devices of an attempt that are under the lease p_lease.
-- An unlink then need not wait until the lease runs out.
-- Locks: the user, then the attempt, then its devices.
-- Writes: devices.
-- Repeated: the same.
-- Answer: the attempt's given-up devices that have keys. The caller starts their unlinks.
CREATE OR REPLACE FUNCTION whatsapp_private.let_go_v1(p_attempt UUID, p_lease UUID) RETURNS UUID[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  PERFORM whatsapp_private.lock_attempt_v1(p_attempt);
  UPDATE whatsapp_private.devices d SET lease_id = NULL, lease_expires_at = NULL
  WHERE d.attempt_id = p_attempt AND d.lease_id = p_lease;
  RETURN whatsapp_private.given_up_with_keys_v1(p_attempt);
END;
$function$;

ALTER FUNCTION whatsapp_private.let_go_v1(UUID, UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.let_go_v1(UUID, UUID) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.let_go_v1(UUID, UUID) TO whatsapp_worker;
