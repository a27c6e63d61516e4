-- Show a QR, bind the offered device to the user before anybody can scan it, and renew the attempt's lease.
-- The function also sets the notice p_notice (NULL: the notice stays). It gives up a device that was scanned and has
-- lost its keys: WhatsApp has refused its login, and its linker has died before it called refuse_v1. Then the notice
-- becomes new_qr.
-- Locks: the user, then the attempt, then its devices.
-- Writes: attempts, devices, sessions. Never the session row.
-- Repeated: the same answer with a later version. QR and lease last a little longer. There is no second binding. If the
-- device was scanned or refused meanwhile, or if a newer device is bound, nothing changes.
-- No row: the lease is lost. The attempt has ended, another linker has taken the lease, or the linker has released it.
CREATE OR REPLACE FUNCTION whatsapp_private.show_qr_v1(
  p_attempt UUID, p_lease UUID, p_seconds FLOAT8, p_qr TEXT, p_qr_seconds FLOAT8, p_fingerprint BYTEA,
  p_notice TEXT
) RETURNS SETOF whatsapp_private.attempt_state
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
  -- Whether this call is a repeat that arrives late: its device was scanned or refused meanwhile, or a newer device was
  -- bound.
  late CONSTANT BOOLEAN := EXISTS (
    SELECT FROM whatsapp_private.devices d
    WHERE d.attempt_id = p_attempt AND d.fingerprint = p_fingerprint
      AND (d.state <> 'offered' OR whatsapp_private.newest_device_v1(p_attempt) <> p_fingerprint)
  );
BEGIN
  IF NOT whatsapp_private.holds_lease_v1(p_attempt, p_lease) THEN
    RETURN;
  END IF;
  IF late THEN
    RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
    RETURN;
  END IF;
  UPDATE whatsapp_private.attempts a SET
    qr_shown_at = coalesce(a.qr_shown_at, at), qr_expires_at = at + make_interval(secs => p_qr_seconds),
    notice = coalesce(p_notice, a.notice),
    -- Renew the lease with the QR. The linker may have hung for longer than its lease, and then session_v1 would hide
    -- the new QR.
    lease_expires_at = at + make_interval(secs => p_seconds)
  WHERE a.id = p_attempt;
  IF whatsapp_private.give_up_refused_v1(ARRAY(
    SELECT d.id FROM whatsapp_private.devices d
    WHERE d.attempt_id = p_attempt AND d.state = 'linking' AND whatsapp_private.stored_jid(d.fingerprint) IS NULL
  )) THEN
    UPDATE whatsapp_private.attempts a SET notice = 'new_qr' WHERE a.id = p_attempt;
  END IF;
  -- Do not bind a device that has keys: a phone has linked it already.
  INSERT INTO whatsapp_private.devices (user_id, attempt_id, fingerprint, lease_id, lease_expires_at, created_at)
  SELECT owner, p_attempt, p_fingerprint, p_lease, at + make_interval(secs => p_seconds), at
  WHERE whatsapp_private.stored_jid(p_fingerprint) IS NULL
  ON CONFLICT (fingerprint) DO NOTHING;
  PERFORM whatsapp_private.note_change_v1(owner, p_qr);
  RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
END;
$function$;

ALTER FUNCTION whatsapp_private.show_qr_v1(UUID, UUID, FLOAT8, TEXT, FLOAT8, BYTEA, TEXT) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.show_qr_v1(UUID, UUID, FLOAT8, TEXT, FLOAT8, BYTEA, TEXT) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.show_qr_v1(UUID, UUID, FLOAT8, TEXT, FLOAT8, BYTEA, TEXT) TO whatsapp_worker;
