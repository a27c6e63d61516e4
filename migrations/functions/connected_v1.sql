-- End an attempt well: link the device that has logged in under this JID, and give up every other device of the
-- attempt.
-- Locks: the user, then the attempt, then its devices.
-- Writes: attempts, devices, sessions. Never the user's row.
-- Repeated with the same p_lease: the same answer; nothing more changes.
-- No row: the lease is lost, or no device of the attempt has been scanned under this JID.
CREATE OR REPLACE FUNCTION whatsapp_private.connected_v1(
  p_attempt UUID, p_lease UUID, p_jid TEXT
) RETURNS SETOF whatsapp_private.attempt_state
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
  attempt RECORD;
  linked UUID;
BEGIN
  SELECT a.ended_at, a.outcome, a.lease_expires_at INTO attempt FROM whatsapp_private.attempts a
  WHERE a.id = p_attempt AND a.lease_id = p_lease;
  IF attempt.outcome = 'connected' THEN
    RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
    RETURN;
  END IF;
  IF NOT FOUND OR attempt.ended_at IS NOT NULL OR attempt.lease_expires_at IS NULL THEN
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
  UPDATE whatsapp_private.devices d SET
    state = 'unlinking', unlink_due_at = at + interval '4 minutes', lease_id = NULL, lease_expires_at = NULL
  WHERE d.attempt_id = p_attempt AND d.state <> 'unlinking' AND d.id <> linked;
  UPDATE whatsapp_private.devices d SET state = 'linked', jid = p_jid, lease_id = NULL, lease_expires_at = NULL
  WHERE d.id = linked;
  PERFORM whatsapp_private.note_change_v1(owner, NULL);
  UPDATE whatsapp_private.sessions s SET last_seen = at WHERE s.user_id = owner;
  RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
END;
$function$;

ALTER FUNCTION whatsapp_private.connected_v1(UUID, UUID, TEXT) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.connected_v1(UUID, UUID, TEXT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.connected_v1(UUID, UUID, TEXT) TO whatsapp_worker;
