-- Note that a phone has scanned the QR of a device, and clear the QR and the notice.
-- It is the device for which whatsmeow has stored keys under the JID p_jid. The attempt's first report of a scan moves
-- the deadline, so that the device has p_login_seconds to log in. Later reports do not move it. Otherwise a phone that
-- scans or logs in again and again would never time out.
-- Locks: the user, then the attempt, then the device.
-- Writes: attempts, devices, sessions. Never the session row.
-- Repeated: the same answer with a later version; the deadline stays.
-- No row: the lease is lost, or no device of the attempt has these keys.
CREATE OR REPLACE FUNCTION whatsapp_private.scanned_v1(
  p_attempt UUID, p_lease UUID, p_jid TEXT, p_login_seconds FLOAT8
) RETURNS SETOF whatsapp_private.attempt_state
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
  device UUID;
BEGIN
  IF NOT whatsapp_private.holds_lease_v1(p_attempt, p_lease) THEN
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
