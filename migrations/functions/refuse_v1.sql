-- Record a refused pairing, so that another QR may follow: clear the QR, set the notice new_qr, and count the refusal.
-- Give up the device p_jid, which WhatsApp does not know any more (p_jid is NULL: whatsmeow has stored no device). The
-- caller has ended the engine. The attempt's other devices stay, because a phone may have linked one of them by the QR
-- of an earlier linker.
-- Locks: the user, then the attempt, then the device.
-- Writes: attempts, devices, sessions. Never the user's row.
-- Repeated with the same p_refusals: the same answer; nothing more changes.
-- No row: the lease is lost.
CREATE OR REPLACE FUNCTION whatsapp_private.refuse_v1(
  p_attempt UUID, p_lease UUID, p_refusals INTEGER, p_jid TEXT
) RETURNS SETOF whatsapp_private.attempt_state
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
BEGIN
  PERFORM FROM whatsapp_private.attempts a
  WHERE a.id = p_attempt AND a.lease_id = p_lease AND a.lease_expires_at IS NOT NULL AND a.ended_at IS NULL;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  UPDATE whatsapp_private.attempts a SET refusals = a.refusals + 1, notice = 'new_qr', qr_expires_at = NULL
  WHERE a.id = p_attempt AND a.refusals = p_refusals;
  IF FOUND THEN
    UPDATE whatsapp_private.devices d SET
      state = 'unlinking', unlink_due_at = clock_timestamp() + interval '4 minutes',
      lease_id = NULL, lease_expires_at = NULL
    WHERE d.attempt_id = p_attempt AND d.lease_id = p_lease AND d.jid = p_jid AND d.state <> 'unlinking';
    PERFORM whatsapp_private.note_change_v1(owner, NULL);
  END IF;
  RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
END;
$function$;

ALTER FUNCTION whatsapp_private.refuse_v1(UUID, UUID, INTEGER, TEXT) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.refuse_v1(UUID, UUID, INTEGER, TEXT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.refuse_v1(UUID, UUID, INTEGER, TEXT) TO whatsapp_worker;
