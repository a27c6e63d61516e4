-- Delete a given-up device: its keys, its binding, and what whatsmeow keeps about its account.
-- The function runs as the owner of the tables, because its caller may not delete keys: of our logins, only the
-- engine's may do so.
-- Locks: the device.
-- Writes: devices, whatsmeow's tables.
-- Repeated, or without the lease: nothing changes.
CREATE OR REPLACE FUNCTION whatsapp_private.forget_v1(p_device UUID, p_lease UUID) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  device RECORD;
BEGIN
  SELECT d.fingerprint, d.jid INTO device FROM whatsapp_private.devices d
  WHERE d.id = p_device AND d.lease_id = p_lease AND d.state = 'unlinking' FOR UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  DELETE FROM whatsapp_engine.whatsmeow_device e WHERE sha256(e.adv_key) = device.fingerprint;
  PERFORM whatsapp_private.forget_number_v1(device.jid, device.fingerprint);
  DELETE FROM whatsapp_private.devices d WHERE d.id = p_device;
END;
$function$;

REVOKE ALL ON FUNCTION whatsapp_private.forget_v1(UUID, UUID) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.forget_v1(UUID, UUID) TO whatsapp_worker;
