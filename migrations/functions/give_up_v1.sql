-- Give up the devices of one attempt, or of all attempts of a user (p_attempt is NULL).
-- The device p_kept is not given up. Leases stay as they are. Cleanup starts the unlink of a given-up device after a
-- pause (unlink_pause_v1), unless the caller starts it now.
-- Locks: the devices. The caller holds the user.
-- Writes: devices.
-- Repeated: an empty answer; nothing more changes.
-- Answer: the devices that have keys. Only these can be in a phone's list of linked devices.
CREATE OR REPLACE FUNCTION whatsapp_private.give_up_v1(p_user UUID, p_attempt UUID, p_kept UUID) RETURNS UUID[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  given_up UUID[];
BEGIN
  WITH changed AS (
    UPDATE whatsapp_private.devices d SET
      state = 'unlinking', unlink_due_at = clock_timestamp() + whatsapp_private.unlink_pause_v1(0)
    WHERE d.user_id = p_user AND (p_attempt IS NULL OR d.attempt_id = p_attempt) AND d.state <> 'unlinking'
      AND d.id IS DISTINCT FROM p_kept
    RETURNING d.id, d.jid, d.fingerprint
  )
  SELECT coalesce(array_agg(c.id), '{}') INTO given_up FROM changed c
  WHERE c.jid IS NOT NULL OR whatsapp_private.stored_jid(c.fingerprint) IS NOT NULL;
  RETURN given_up;
END;
$function$;

ALTER FUNCTION whatsapp_private.give_up_v1(UUID, UUID, UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.give_up_v1(UUID, UUID, UUID) FROM PUBLIC;
