-- Count a refusal of a scan or its login, clear the QR, and set the notice new_qr.
-- Another QR may follow. The function also gives up the device p_jid, which WhatsApp does not know any more (NULL:
-- whatsmeow has stored no keys). The attempt's other devices stay, because a phone may have linked one of them by the
-- QR of an earlier linker. The caller has ended the engine.
-- Locks: the user, then the attempt, then the device.
-- Writes: attempts, devices, sessions. Never the session row.
-- Repeated with the same p_refusals, the number of refusals before this one: the same answer; nothing more changes.
-- No row: the lease is lost.
CREATE OR REPLACE FUNCTION whatsapp_private.refuse_v1(
  p_attempt UUID, p_lease UUID, p_refusals INTEGER, p_jid TEXT
) RETURNS SETOF whatsapp_private.attempt_state
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
BEGIN
  IF NOT whatsapp_private.holds_lease_v1(p_attempt, p_lease) THEN
    RETURN;
  END IF;
  UPDATE whatsapp_private.attempts a SET refusals = a.refusals + 1, notice = 'new_qr', qr_expires_at = NULL
  WHERE a.id = p_attempt AND a.refusals = p_refusals;
  IF FOUND THEN
    PERFORM whatsapp_private.give_up_refused_v1(ARRAY(
      SELECT d.id FROM whatsapp_private.devices d
      WHERE d.attempt_id = p_attempt AND d.lease_id = p_lease AND d.jid = p_jid
    ));
    PERFORM whatsapp_private.note_change_v1(owner, NULL);
  END IF;
  RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
END;
$function$;

ALTER FUNCTION whatsapp_private.refuse_v1(UUID, UUID, INTEGER, TEXT) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.refuse_v1(UUID, UUID, INTEGER, TEXT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.refuse_v1(UUID, UUID, INTEGER, TEXT) TO whatsapp_worker;
