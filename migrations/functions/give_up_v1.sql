-- Give up the devices of one attempt, or of all attempts of a user (p_attempt is NULL), except p_kept (NULL: none).
-- Cleanup starts the unlink of a given-up device after 4 minutes, unless the caller starts it now. Leases stay as they
-- are.
-- Locks: the devices. The caller holds the user.
-- Writes: devices.
-- Repeated: an empty answer; nothing more changes.
-- Answer: the devices that have keys. Only these can be in a phone's list of linked devices.
CREATE OR REPLACE FUNCTION whatsapp_private.give_up_v1(p_user UUID, p_attempt UUID, p_kept UUID) RETURNS UUID[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  given_up UUID[];
BEGIN
  WITH released AS (
    UPDATE whatsapp_private.devices d SET
      state = 'unlinking', unlink_due_at = clock_timestamp() + interval '4 minutes'
    WHERE d.user_id = p_user AND (p_attempt IS NULL OR d.attempt_id = p_attempt) AND d.state <> 'unlinking'
      AND d.id IS DISTINCT FROM p_kept
    RETURNING d.id, d.jid, d.fingerprint
  )
  SELECT coalesce(array_agg(r.id), '{}') INTO given_up FROM released r
  WHERE r.jid IS NOT NULL OR whatsapp_private.stored_jid(r.fingerprint) IS NOT NULL;
  RETURN given_up;
END;
$function$;

ALTER FUNCTION whatsapp_private.give_up_v1(UUID, UUID, UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.give_up_v1(UUID, UUID, UUID) FROM PUBLIC;
