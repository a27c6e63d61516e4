-- Derive a user's session from attempts, devices and sessions.
-- The answer is always one row. Its status comes from the first rule that fits:
--   waiting_qr    the last attempt is running, and a QR shows or a phone has scanned
--   connecting    the last attempt is running
--   connected     a device is linked
--   error         the last attempt has failed, and no disconnect has dismissed the error (attempts.failed)
--   disconnected  in any other case
-- An attempt is running while it lives and is not left over (left_over). A left-over attempt only waits for its end,
-- which comes with the next click or the next cleanup.
-- Locks: nothing.
-- Writes: nothing.
CREATE OR REPLACE FUNCTION whatsapp_private.session_v1(p_user UUID) RETURNS TABLE (
  read_at TIMESTAMPTZ,
  status TEXT,
  qr_code TEXT,
  qr_expires_at TIMESTAMPTZ,
  attempt_id UUID,  -- this and the next three are NULL unless the last attempt is running or the status is error
  attempt_number INTEGER,
  started_at TIMESTAMPTZ,
  deadline TIMESTAMPTZ,
  phone_number TEXT,
  connected_at TIMESTAMPTZ,
  last_seen TIMESTAMPTZ,
  messages_sent INTEGER,
  messages_received INTEGER,
  reason TEXT,
  unended UUID,  -- the left-over attempt; the caller derives its reason from attempt_v1
  version BIGINT,
  notice TEXT  -- NULL unless the last attempt is running
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
BEGIN
  PERFORM set_config('whatsapp.user_id', p_user::TEXT, true);
  -- Read everything in one statement. Two statements could answer with the QR of one moment and the reason of another.
  RETURN QUERY
  WITH last AS (
    SELECT a.*,
      a.ended_at IS NULL AND NOT whatsapp_private.left_over(a, at) AS running,
      -- Hide the QR when the lease of its linker is over: the linker may be dead, and WhatsApp then has dropped the QR
      -- with its socket. Show an expired QR for 3 s longer, because the next QR usually comes within this time.
      coalesce(a.lease_expires_at > at AND a.qr_expires_at + interval '3 seconds' > at, false) AS showing,
      EXISTS (
        SELECT FROM whatsapp_private.devices d WHERE d.attempt_id = a.id AND d.state IN ('linking', 'linked')
      ) AS scanned
    FROM whatsapp_private.attempts a WHERE a.user_id = p_user ORDER BY a.number DESC LIMIT 1
  ), linked AS (
    SELECT substring(d.jid FROM '^[0-9]+') AS number, a.ended_at AS since
    FROM whatsapp_private.devices d LEFT JOIN whatsapp_private.attempts a ON a.id = d.attempt_id
    WHERE d.user_id = p_user AND d.state = 'linked'
  ), shown AS (
    SELECT
      CASE
        WHEN last.running AND (last.showing AND s.qr_code IS NOT NULL OR last.scanned) THEN 'waiting_qr'
        WHEN last.running THEN 'connecting'
        WHEN linked.number IS NOT NULL THEN 'connected'
        WHEN last.failed OR last.ended_at IS NULL AND last.verdict IS NULL AND last.id IS NOT NULL THEN 'error'
        ELSE 'disconnected'
      END AS status,
      CASE WHEN last.running AND last.showing THEN s.qr_code END AS qr_code
    FROM (SELECT) AS one LEFT JOIN last ON true LEFT JOIN linked ON true
      LEFT JOIN whatsapp_private.sessions s ON s.user_id = p_user
  )
  SELECT at, shown.status, shown.qr_code,
    CASE WHEN shown.qr_code IS NOT NULL THEN last.qr_expires_at END,
    attempt.id, attempt.number, attempt.started_at, attempt.deadline,
    CASE WHEN shown.status = 'connected' THEN linked.number END,
    CASE WHEN shown.status = 'connected' THEN linked.since END,
    s.last_seen, coalesce(s.messages_sent, 0), coalesce(s.messages_received, 0),
    CASE WHEN shown.status IN ('error', 'disconnected')
      THEN CASE WHEN last.outcome = 'connected' THEN s.ended_reason ELSE last.outcome END END,
    CASE WHEN NOT last.running AND last.ended_at IS NULL THEN last.id END,
    coalesce(s.version, 0),
    CASE WHEN last.running THEN last.notice END
  FROM shown LEFT JOIN last ON true LEFT JOIN linked ON true
    LEFT JOIN last AS attempt ON attempt.running OR shown.status = 'error'
    LEFT JOIN whatsapp_private.sessions s ON s.user_id = p_user;
END;
$function$;

ALTER FUNCTION whatsapp_private.session_v1(UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.session_v1(UUID) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.session_v1(UUID) TO whatsapp_api;
