-- Take the lease of a given-up device for an unlink, and find its keys.
-- The function finds the keys by the fingerprint, because a linker may have died before it noted the JID.
-- Locks: the device.
-- Writes: devices.
-- Repeated with the same p_lease: the same answer; the lease lasts a little longer.
-- No row: there is nothing to unlink.
CREATE OR REPLACE FUNCTION whatsapp_private.take_device_v1(p_device UUID, p_lease UUID, p_seconds FLOAT8) RETURNS TABLE (
  busy BOOLEAN,  -- a linker or another unlink holds the device, and nothing was written
  jid TEXT       -- NULL: whatsmeow has no keys of the device
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  device RECORD;
  at TIMESTAMPTZ;
BEGIN
  PERFORM set_config('whatsapp.user_id', 'all', true);
  -- Lock the device before the keys are read. If the call has to wait, the keys may come or go meanwhile.
  SELECT d.* INTO device FROM whatsapp_private.devices d WHERE d.id = p_device AND d.state = 'unlinking' FOR UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  at := clock_timestamp();
  busy := coalesce(device.lease_id IS DISTINCT FROM p_lease AND device.lease_expires_at > at, false);
  IF NOT busy THEN
    jid := whatsapp_private.stored_jid(device.fingerprint);
    UPDATE whatsapp_private.devices d SET
      lease_id = p_lease, lease_expires_at = at + make_interval(secs => p_seconds),
      jid = coalesce(d.jid, take_device_v1.jid)
    WHERE d.id = p_device;
  END IF;
  RETURN NEXT;
END;
$function$;

ALTER FUNCTION whatsapp_private.take_device_v1(UUID, UUID, FLOAT8) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.take_device_v1(UUID, UUID, FLOAT8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.take_device_v1(UUID, UUID, FLOAT8) TO whatsapp_worker;
