-- Start a new attempt, unless an attempt lives, a device is linked, the user must wait, or the system is full.
-- Parameters:
--   p_window  the seconds of the QR's window
--   p_limit   how many attempts of all users may live at once
--   p_pauses  the seconds of the pause after 0, 1, 2 … failures
--   p_most    how many attempts a user may start in an hour
-- Locks: the user.
-- Then the function locks the ended attempts that it marks. It passes over those that another transaction has locked.
-- Writes: attempts, sessions. Never the session row.
-- Repeated with the same p_attempt: claimed is true again, if the first call started the attempt; nothing more changes.
-- Error: foreign_key_violation of a table in whatsapp_private, when the user was deleted.
CREATE OR REPLACE FUNCTION whatsapp_private.claim_v1(
  p_user UUID, p_attempt UUID, p_window FLOAT8, p_limit INTEGER, p_pauses FLOAT8[], p_most INTEGER,
  OUT claimed BOOLEAN,
  OUT linked BOOLEAN,
  OUT live UUID,          -- the attempt that lives
  OUT live_over BOOLEAN,  -- whether that attempt is left over; the caller then ends it and claims again
  OUT live_has_workflow BOOLEAN,
  OUT wait FLOAT8,        -- seconds until the user may start an attempt
  OUT at_capacity BOOLEAN,
  OUT version BIGINT
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  last whatsapp_private.attempts;
BEGIN
  PERFORM whatsapp_private.lock_user_v1(p_user);
  SELECT a.* INTO last FROM whatsapp_private.attempts a WHERE a.user_id = p_user ORDER BY a.number DESC LIMIT 1;
  claimed := coalesce(last.id = p_attempt, false);
  linked := EXISTS (SELECT FROM whatsapp_private.devices d WHERE d.user_id = p_user AND d.state = 'linked');
  wait := 0;
  at_capacity := false;
  version := coalesce((SELECT s.version FROM whatsapp_private.sessions s WHERE s.user_id = p_user), 0);
  IF last.id IS NOT NULL AND last.ended_at IS NULL THEN
    live := last.id;
    live_has_workflow := last.task_token IS NOT NULL;
    live_over := whatsapp_private.left_over(last, clock_timestamp());
  END IF;
  IF claimed OR linked OR live IS NOT NULL THEN
    RETURN;
  END IF;

  IF last.id IS NOT NULL THEN
    -- The user waits for the end of the pause. After p_most attempts within an hour, the user also waits until the
    -- oldest of them is an hour old.
    wait := greatest(
      0,
      extract(epoch FROM last.started_at - clock_timestamp())
        + p_pauses[least(last.failures + 1, cardinality(p_pauses))],
      (SELECT extract(epoch FROM first.started_at - clock_timestamp()) + 3600
       FROM whatsapp_private.attempts first
       WHERE first.user_id = p_user AND first.number = last.number + 1 - p_most)
    );
  END IF;
  IF wait > 0 THEN
    RETURN;
  END IF;
  at_capacity := whatsapp_private.live_attempts(p_limit) >= p_limit;
  IF at_capacity THEN
    RETURN;
  END IF;

  -- Mark the ended attempts. Cleanup deletes a superseded attempt when it is old. If an attempt is locked now, the next
  -- click marks it.
  UPDATE whatsapp_private.attempts a SET superseded = true
  WHERE a.id = ANY (ARRAY(
    SELECT old.id FROM whatsapp_private.attempts old
    WHERE old.user_id = p_user AND old.ended_at IS NOT NULL AND NOT old.superseded FOR UPDATE SKIP LOCKED
  ));
  INSERT INTO whatsapp_private.attempts (id, user_id, number, deadline, failures)
  VALUES (
    p_attempt, p_user, coalesce(last.number, 0) + 1, clock_timestamp() + make_interval(secs => p_window),
    coalesce(last.failures, 0)
  );
  version := whatsapp_private.note_change_v1(p_user, NULL);
  UPDATE whatsapp_private.sessions s SET ended_reason = NULL WHERE s.user_id = p_user;
  claimed := true;
END;
$function$;

ALTER FUNCTION whatsapp_private.claim_v1(UUID, UUID, FLOAT8, INTEGER, FLOAT8[], INTEGER) OWNER TO whatsapp_functions;
REVOKE ALL ON FUNCTION whatsapp_private.claim_v1(UUID, UUID, FLOAT8, INTEGER, FLOAT8[], INTEGER) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION whatsapp_private.claim_v1(UUID, UUID, FLOAT8, INTEGER, FLOAT8[], INTEGER) TO whatsapp_api;
