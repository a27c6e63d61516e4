-- Store the task token of a wait that the workflow has entered.
-- The first wait of the phase auth also starts the scan's window, which lasts p_window seconds.
-- Locks: the user, then the attempt.
-- Writes: attempts.
-- Repeated: the same.
-- Answer: the attempt. When it has ended, or when a later wait has stored its token, the function has written nothing.
-- No row: the attempt does not exist any more.
CREATE OR REPLACE FUNCTION whatsapp_private.open_phase_v1(
  p_attempt UUID, p_phase TEXT, p_token TEXT, p_entered TIMESTAMPTZ, p_window FLOAT8
) RETURNS SETOF whatsapp_private.attempt_state
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  scanned BOOLEAN;
  until TIMESTAMPTZ;
BEGIN
  PERFORM whatsapp_private.lock_attempt_v1(p_attempt);
  scanned := EXISTS (
    SELECT FROM whatsapp_private.devices d WHERE d.attempt_id = p_attempt AND d.state IN ('linking', 'linked')
  );
  until := clock_timestamp() + make_interval(secs => p_window);
  UPDATE whatsapp_private.attempts a SET
    task_token = p_token,
    wait_entered_at = p_entered,
    phase = CASE WHEN a.phase = 'auth' THEN 'auth' ELSE p_phase END,
    deadline = CASE
      WHEN a.phase = 'auth' OR p_phase = 'qr' THEN a.deadline
      -- The phone may scan before the workflow enters this phase. The scan has then extended the deadline already, so
      -- do not shorten it here.
      WHEN scanned THEN greatest(a.deadline, until)
      ELSE until END
  WHERE a.id = p_attempt AND a.ended_at IS NULL AND coalesce(a.wait_entered_at <= p_entered, true);
  RETURN QUERY SELECT * FROM whatsapp_private.attempt_v1(p_attempt);
END;
$function$;

ALTER FUNCTION whatsapp_private.open_phase_v1(UUID, TEXT, TEXT, TIMESTAMPTZ, FLOAT8) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.open_phase_v1(UUID, TEXT, TEXT, TIMESTAMPTZ, FLOAT8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.open_phase_v1(UUID, TEXT, TEXT, TIMESTAMPTZ, FLOAT8) TO whatsapp_worker;
