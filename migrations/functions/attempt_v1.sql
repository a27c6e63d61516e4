-- Read an attempt.
-- Locks: nothing.
-- Writes: nothing.
-- No row: the attempt does not exist any more.
CREATE OR REPLACE FUNCTION whatsapp_private.attempt_v1(p_attempt UUID) RETURNS SETOF whatsapp_private.attempt_state
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  at CONSTANT TIMESTAMPTZ := clock_timestamp();
BEGIN
  PERFORM set_config('whatsapp.user_id', whatsapp_private.user_of_attempt(p_attempt)::TEXT, true);
  RETURN QUERY
  SELECT a.id, a.user_id, a.phase, a.deadline,
         extract(epoch FROM at - a.started_at)::FLOAT8,
         extract(epoch FROM a.deadline - at)::FLOAT8,
         (SELECT extract(epoch FROM at - max(d.scanned_at))::FLOAT8
          FROM whatsapp_private.devices d WHERE d.attempt_id = a.id AND d.state IN ('linking', 'linked')),
         a.task_token,
         coalesce(a.lease_expires_at > at, false),
         a.legs, a.qr_shown_at IS NOT NULL, a.reachable, a.verdict, a.outcome,
         coalesce((SELECT s.version FROM whatsapp_private.sessions s WHERE s.user_id = a.user_id), 0),
         a.notice, a.refusals, stored.jid, stored.fingerprint, whatsapp_private.left_over(a, at)
  FROM whatsapp_private.attempts a
  LEFT JOIN LATERAL (
    -- Find keys whose scan no linker has reported. whatsmeow stores the keys at the moment of the scan, and the linker
    -- may die or hang before it reports the scan.
    SELECT keys.jid, d.fingerprint
    FROM whatsapp_private.devices d, whatsapp_private.stored_jid(d.fingerprint) AS keys (jid)
    WHERE d.attempt_id = a.id AND d.state IN ('offered', 'linking') AND keys.jid IS NOT NULL
    ORDER BY d.created_at DESC LIMIT 1
  ) AS stored ON true
  WHERE a.id = p_attempt;
END;
$function$;

ALTER FUNCTION whatsapp_private.attempt_v1(UUID) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.attempt_v1(UUID) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.attempt_v1(UUID) TO whatsapp_api, whatsapp_worker;
