-- Find the given-up devices of an attempt that have keys.
-- refuse_v1 may have given such a device up earlier. Or a phone has scanned while the attempt ended: give_up_v1 saw no
-- keys yet, so its caller has not started this device's unlink.
-- Locks: nothing. The caller holds the attempt.
-- Writes: nothing.
CREATE OR REPLACE FUNCTION whatsapp_private.given_up_with_keys_v1(p_attempt UUID) RETURNS UUID[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  RETURN ARRAY(
    SELECT d.id FROM whatsapp_private.devices d
    WHERE d.attempt_id = p_attempt AND d.state = 'unlinking'
      AND whatsapp_private.stored_jid(d.fingerprint) IS NOT NULL
  );
END;
$function$;

ALTER FUNCTION whatsapp_private.given_up_with_keys_v1(UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.given_up_with_keys_v1(UUID) FROM PUBLIC;
