-- Note that a phone has scanned the QR of a device: give the device time to log in, and clear the QR and the notice.
-- The device is the one for which whatsmeow has stored keys under this JID.
-- Locks: the user, then the attempt, then the device.
-- Writes: attempts, devices, sessions. Never the user's row.
-- Repeated: the same; the attempt's first report of a scan extends the deadline, later reports do not. Otherwise a
-- phone that scans or logs in again and again would never time out.
-- No row: the lease is lost, or none of the attempt's devices has these keys.
CREATE OR REPLACE FUNCTION whatsapp_private.scanned_v1(
  p_attempt UUID, p_lease UUID, p_jid TEXT, p_login_seconds FLOAT8
) RETURNS SETOF whatsapp_private.attempt_state
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
  device UUID;
BEGIN
  PERFORM FROM whatsapp_private.attempts a
  WHERE a.id = p_attempt AND a.lease_id = p_lease AND a.lease_expires_at IS NOT NULL AND a.ended_at IS NULL;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  SELECT d.id INTO device FROM whatsapp_private.devices d
  WHERE d.attempt_id = p_attempt AND d.lease_id = p_lease AND d.state IN ('offered', 'linking')
    AND whatsapp_private.stored_jid(d.fingerprint) = p_jid
  FOR UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  UPDATE whatsapp_private.attempts a SET
    qr_expires_at = NULL, notice = NULL, scanned_at = coalesce(a.scanned_at, at),
    deadline = CASE WHEN a.scanned_at IS NULL
      THEN greatest(a.deadline, at + make_interval(secs => p_login_seconds)) ELSE a.deadline END
  WHERE a.id = p_attempt;
  UPDATE whatsapp_private.devices d SET jid = p_jid, state = 'linking', scanned_at = coalesce(d.scanned_at, at)
  WHERE d.id = device;
  PERFORM whatsapp_private.note_change_v1(owner, NULL);
  RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
END;
$function$;

ALTER FUNCTION whatsapp_private.scanned_v1(UUID, UUID, TEXT, FLOAT8) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.scanned_v1(UUID, UUID, TEXT, FLOAT8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.scanned_v1(UUID, UUID, TEXT, FLOAT8) TO whatsapp_worker;
