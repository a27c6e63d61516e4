-- Give up devices whose scan or login was refused, and let go of them.
-- An unlink then need not wait until the lease runs out.
-- Locks: the devices. The caller holds the user and the attempt.
-- Writes: devices.
-- Repeated: false; nothing more changes.
-- Answer: whether it has given up a device.
CREATE OR REPLACE FUNCTION whatsapp_private.give_up_refused_v1(p_devices UUID[]) RETURNS BOOLEAN
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  UPDATE whatsapp_private.devices d SET
    state = 'unlinking', unlink_due_at = clock_timestamp() + whatsapp_private.unlink_pause_v1(0),
    lease_id = NULL, lease_expires_at = NULL
  WHERE d.id = ANY (p_devices) AND d.state <> 'unlinking';
  RETURN FOUND;
END;
$function$;

ALTER FUNCTION whatsapp_private.give_up_refused_v1(UUID[]) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.give_up_refused_v1(UUID[]) FROM PUBLIC;
