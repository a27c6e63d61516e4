-- Renew the lease of an attempt and its devices, and note whether WhatsApp answers.
-- The function also hides the QR of the device p_ended, whose engine has ended (NULL: hide no QR). A QR can be scanned
-- only while its engine runs. If a newer device is bound, its QR stays: this call may arrive late.
-- Locks: the user, then the attempt, then its devices.
-- Writes: attempts, devices, sessions. Never the session row.
-- It writes sessions only when a QR goes away or comes back.
-- Repeated: the same answer; the lease lasts a little longer.
-- No row: the lease is lost.
CREATE OR REPLACE FUNCTION whatsapp_private.renew_v1(
  p_attempt UUID, p_lease UUID, p_seconds FLOAT8, p_reachable BOOLEAN, p_ended BYTEA
) RETURNS SETOF whatsapp_private.attempt_state
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
  ended CONSTANT BOOLEAN := coalesce(whatsapp_private.newest_device_v1(p_attempt) = p_ended, false);
  until TIMESTAMPTZ;
  hidden BOOLEAN;
  qr TEXT;
BEGIN
  IF NOT whatsapp_private.holds_lease_v1(p_attempt, p_lease) THEN
    RETURN;
  END IF;
  -- Look whether the QR is hidden now: session_v1 hides the QR of a linker that hangs for longer than its lease. This
  -- renewal brings the QR back, so the session changes.
  hidden := NOT ended AND EXISTS (
    SELECT FROM whatsapp_private.attempts a
    WHERE a.id = p_attempt AND a.lease_expires_at <= clock_timestamp() AND a.qr_expires_at IS NOT NULL
  );
  until := clock_timestamp() + make_interval(secs => p_seconds);
  UPDATE whatsapp_private.attempts a SET
    lease_expires_at = until, reachable = p_reachable, qr_expires_at = CASE WHEN NOT ended THEN a.qr_expires_at END
  WHERE a.id = p_attempt;
  UPDATE whatsapp_private.devices d SET lease_expires_at = until
  WHERE d.attempt_id = p_attempt AND d.lease_id = p_lease;
  SELECT s.qr_code INTO qr FROM whatsapp_private.sessions s WHERE s.user_id = owner;
  IF hidden THEN
    PERFORM whatsapp_private.note_change_v1(owner, qr);
  ELSIF qr IS NOT NULL AND ended THEN
    PERFORM whatsapp_private.note_change_v1(owner, NULL);
  END IF;
  RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
END;
$function$;

ALTER FUNCTION whatsapp_private.renew_v1(UUID, UUID, FLOAT8, BOOLEAN, BYTEA) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.renew_v1(UUID, UUID, FLOAT8, BOOLEAN, BYTEA) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.renew_v1(UUID, UUID, FLOAT8, BOOLEAN, BYTEA) TO whatsapp_worker;
