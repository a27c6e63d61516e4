-- Take the lease of an attempt and its devices for a linker that has just started.
-- Locks: the user, then the attempt, then its devices.
-- Writes: attempts, devices, sessions. Never the session row.
-- It writes sessions only when the linker before this one has shown a QR.
-- Repeated with the same p_lease: the same answer; nothing changes.
-- No row: the attempt has a linker, has a verdict, has ended, or does not exist any more; or this linker has released
-- its lease.
CREATE OR REPLACE FUNCTION whatsapp_private.take_v1(
  p_attempt UUID, p_lease UUID, p_seconds FLOAT8
) RETURNS SETOF whatsapp_private.attempt_state
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  owner CONSTANT UUID := whatsapp_private.lock_attempt_v1(p_attempt);
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
BEGIN
  IF whatsapp_private.holds_lease_v1(p_attempt, p_lease) THEN
    RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
    RETURN;
  END IF;
  UPDATE whatsapp_private.attempts a SET
    lease_id = p_lease,
    lease_expires_at = at + make_interval(secs => p_seconds),
    legs = a.legs + 1,
    -- Clear the QR of the linker before this one. WhatsApp has dropped this QR with that linker's socket.
    qr_expires_at = NULL
  WHERE a.id = p_attempt AND a.ended_at IS NULL AND a.verdict IS NULL AND a.lease_id IS DISTINCT FROM p_lease
    AND (a.lease_expires_at IS NULL OR a.lease_expires_at <= at);
  IF NOT FOUND THEN
    RETURN;
  END IF;
  UPDATE whatsapp_private.devices d SET
    lease_id = p_lease, lease_expires_at = at + make_interval(secs => p_seconds)
  WHERE d.attempt_id = p_attempt AND d.state IN ('offered', 'linking');
  IF EXISTS (SELECT FROM whatsapp_private.sessions s WHERE s.user_id = owner AND s.qr_code IS NOT NULL) THEN
    PERFORM whatsapp_private.note_change_v1(owner, NULL);
  END IF;
  RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
END;
$function$;

ALTER FUNCTION whatsapp_private.take_v1(UUID, UUID, FLOAT8) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.take_v1(UUID, UUID, FLOAT8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.take_v1(UUID, UUID, FLOAT8) TO whatsapp_worker;
