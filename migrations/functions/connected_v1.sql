-- End an attempt well: link the device that has logged in, and give up the attempt's other devices.
-- The linked device is the device for which whatsmeow has stored keys under the JID p_jid.
-- Locks: the user, then the attempt, then its devices.
-- Writes: attempts, devices, sessions. Never the session row.
-- Repeated with the same p_lease: the same answer; nothing more changes.
-- Answer: the attempt, and its given-up devices that have keys. The caller starts their unlinks.
-- No row: the lease is lost, or no device of the attempt was scanned under this JID.
CREATE OR REPLACE FUNCTION whatsapp_private.connected_v1(
  p_attempt UUID, p_lease UUID, p_jid TEXT
) RETURNS TABLE (attempt whatsapp_private.attempt_state, given_up UUID[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
  repeated CONSTANT BOOLEAN := EXISTS (
    SELECT FROM whatsapp_private.attempts a
    WHERE a.id = p_attempt AND a.lease_id = p_lease AND a.outcome = 'connected'
  );
  linked UUID;
BEGIN
  IF NOT repeated THEN
    IF NOT whatsapp_private.holds_lease_v1(p_attempt, p_lease) THEN
      RETURN;
    END IF;
    SELECT d.id INTO linked FROM whatsapp_private.devices d
    WHERE d.attempt_id = p_attempt AND d.lease_id = p_lease AND d.state = 'linking'
      AND whatsapp_private.stored_jid(d.fingerprint) = p_jid
    FOR UPDATE;
    IF NOT FOUND THEN
      RETURN;
    END IF;
    -- Keep lease_id: by it, a repeat of this call finds that this linker has ended the attempt.
    UPDATE whatsapp_private.attempts a SET
      ended_at = at, outcome = 'connected', failures = 0, lease_expires_at = NULL, qr_expires_at = NULL
    WHERE a.id = p_attempt;
    PERFORM whatsapp_private.give_up_v1(owner, p_attempt, linked);
    UPDATE whatsapp_private.devices d SET state = 'linked', jid = p_jid WHERE d.id = linked;
    PERFORM whatsapp_private.note_change_v1(owner, NULL);
    UPDATE whatsapp_private.sessions s SET last_seen = at WHERE s.user_id = owner;
  END IF;
  RETURN QUERY
  SELECT a, whatsapp_private.let_go_v1(p_attempt, p_lease) FROM whatsapp_private.attempt_v1(p_attempt) a;
END;
$function$;

ALTER FUNCTION whatsapp_private.connected_v1(UUID, UUID, TEXT) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.connected_v1(UUID, UUID, TEXT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.connected_v1(UUID, UUID, TEXT) TO whatsapp_worker;
