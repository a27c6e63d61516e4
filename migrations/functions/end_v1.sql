-- End an attempt badly with the reason p_reason, and give up its devices.
-- The function ends the attempt only if it is still as the caller has read it: with the same deadline and verdict, and
-- scanned or not (p_scanned). Otherwise the caller reads the attempt again and decides again.
-- Locks: the user, then the attempt, then its devices.
-- Writes: attempts, devices, sessions, answers. Never the session row.
-- Repeated with the same p_call: the same answer; nothing more changes.
-- Answer: a JSON object with these fields, or NULL when the attempt has ended or has changed:
--   devices  the given-up devices that have keys; the caller starts their unlinks
--   version  the session's version
CREATE OR REPLACE FUNCTION whatsapp_private.end_v1(
  p_call UUID, p_attempt UUID, p_deadline TIMESTAMPTZ, p_verdict TEXT, p_scanned BOOLEAN, p_reason TEXT, p_failed BOOLEAN
) RETURNS JSONB
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
  result JSONB := (SELECT a.answer FROM whatsapp_private.answers a WHERE a.call_id = p_call);
BEGIN
  IF result IS NOT NULL THEN
    RETURN result;
  END IF;
  PERFORM FROM whatsapp_private.attempt_v1(p_attempt) a
  WHERE a.outcome IS NULL AND a.deadline = p_deadline AND a.verdict IS NOT DISTINCT FROM p_verdict
    AND (a.since_scan IS NOT NULL OR a.stored_jid IS NOT NULL) = p_scanned;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  UPDATE whatsapp_private.attempts a SET
    ended_at = clock_timestamp(), outcome = p_reason, failed = p_failed, failures = a.failures + p_failed::INTEGER,
    lease_expires_at = NULL, qr_expires_at = NULL
  WHERE a.id = p_attempt;
  PERFORM whatsapp_private.give_up_v1(owner, p_attempt, NULL);
  -- Also name the devices that refuse_v1 has given up.
  result := jsonb_build_object(
    'devices', whatsapp_private.given_up_with_keys_v1(p_attempt),
    'version', whatsapp_private.note_change_v1(owner, NULL)
  );
  INSERT INTO whatsapp_private.answers (call_id, answer) VALUES (p_call, result);
  RETURN result;
END;
$function$;

ALTER FUNCTION whatsapp_private.end_v1(UUID, UUID, TIMESTAMPTZ, TEXT, BOOLEAN, TEXT, BOOLEAN) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.end_v1(UUID, UUID, TIMESTAMPTZ, TEXT, BOOLEAN, TEXT, BOOLEAN) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.end_v1(UUID, UUID, TIMESTAMPTZ, TEXT, BOOLEAN, TEXT, BOOLEAN) TO whatsapp_api, whatsapp_worker;
