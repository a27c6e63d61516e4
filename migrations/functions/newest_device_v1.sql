-- Find the fingerprint of the device that was bound last for an attempt.
-- Only the QRs of this device can be scanned: an earlier device's engine has ended, or WhatsApp has renewed the QR.
-- Locks: nothing. The caller holds the user.
-- Writes: nothing.
-- Answer: the fingerprint; NULL when the attempt has no device.
CREATE OR REPLACE FUNCTION whatsapp_private.newest_device_v1(p_attempt UUID) RETURNS BYTEA
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  RETURN (
    SELECT d.fingerprint FROM whatsapp_private.devices d WHERE d.attempt_id = p_attempt ORDER BY d.created_at DESC LIMIT 1
  );
END;
$function$;

ALTER FUNCTION whatsapp_private.newest_device_v1(UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.newest_device_v1(UUID) FROM PUBLIC;
