-- End an attempt well: link the device that has logged in under this JID, and give up every other device of the
-- attempt.
-- Locks: the user, then the attempt, then its devices.
-- Writes: attempts, devices, sessions. Never the user's row.
-- Repeated with the same p_lease: the same answer; nothing more changes.
-- Answer: the attempt, and its given-up devices that have keys, so the caller starts their unlinks.
-- No row: the lease is lost, or no device of the attempt has been scanned under this JID.
CREATE OR REPLACE FUNCTION whatsapp_private.connected_v1(
  p_attempt UUID, p_lease UUID, p_jid TEXT
) RETURNS TABLE (attempt whatsapp_private.attempt_state, given_up UUID[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
  before RECORD;
  linked UUID;
BEGIN
  SELECT a.ended_at, a.outcome, a.lease_expires_at INTO before FROM whatsapp_private.attempts a
  WHERE a.id = p_attempt AND a.lease_id = p_lease;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  IF before.outcome IS DISTINCT FROM 'connected' THEN
    IF before.ended_at IS NOT NULL OR before.lease_expires_at IS NULL THEN
      RETURN;
    END IF;
    SELECT d.id INTO linked FROM whatsapp_private.devices d
    WHERE d.attempt_id = p_attempt AND d.lease_id = p_lease AND d.state = 'linking'
      AND whatsapp_private.stored_jid(d.fingerprint) = p_jid
    FOR UPDATE;
    IF NOT FOUND THEN
      RETURN;
    END IF;
    -- The lease keeps its id, by which a repeat of this call finds its answer.
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
