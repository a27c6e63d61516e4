-- An attempt whose workflow is gone is over at once, and a linker finds keys that an earlier linker's engine has stored.

-- Fail after 5 s of waiting for a lock; the migration may be run again. Otherwise every statement that wants the same
-- table would wait behind it.
SET LOCAL lock_timeout = '5s';

-- When the workflow entered the wait whose task token is stored. A late call of an earlier wait does not overwrite the
-- token.
ALTER TABLE whatsapp_private.attempts ADD COLUMN wait_entered_at TIMESTAMPTZ;
GRANT UPDATE (wait_entered_at) ON whatsapp_private.attempts TO whatsapp_functions;

-- The device of the attempt for which whatsmeow has stored keys and which is not linked yet.
ALTER TYPE whatsapp_private.attempt_state
  ADD ATTRIBUTE stored_jid TEXT,
  ADD ATTRIBUTE stored_fingerprint BYTEA,
  -- Whether the attempt lives and only waits to be ended.
  ADD ATTRIBUTE left_over BOOLEAN;

-- A workflow ends its attempt within seconds of the deadline. A live attempt whose deadline is before this time has lost
-- its workflow: it is overdue.
CREATE FUNCTION whatsapp_private.overdue_before() RETURNS TIMESTAMPTZ
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
  SELECT now() - interval '30 seconds'
$function$;
REVOKE ALL ON FUNCTION whatsapp_private.overdue_before() FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION whatsapp_private.overdue_before() TO whatsapp_functions, whatsapp_worker;

-- Whether an attempt is left over: it lives and only waits to be ended, because nobody works on it any more. Its linker
-- has left a verdict; or its window is over and it has no linker; or it is overdue. Or no workflow has entered a wait
-- for it, and too little of the window is left for a workflow that starts now: a person needs 30 s.
CREATE FUNCTION whatsapp_private.left_over(attempt whatsapp_private.attempts, at TIMESTAMPTZ) RETURNS BOOLEAN
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
  SELECT attempt.ended_at IS NULL AND CASE
    WHEN attempt.verdict IS NOT NULL THEN coalesce(attempt.lease_expires_at <= at, true)
    WHEN attempt.task_token IS NULL
      THEN attempt.deadline - at < least(interval '30 seconds', (attempt.deadline - attempt.started_at) / 4)
    ELSE attempt.deadline < whatsapp_private.overdue_before()
      OR attempt.deadline < at AND coalesce(attempt.lease_expires_at <= at, true)
  END
$function$;
REVOKE ALL ON FUNCTION whatsapp_private.left_over(whatsapp_private.attempts, TIMESTAMPTZ) FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION whatsapp_private.left_over(whatsapp_private.attempts, TIMESTAMPTZ) TO whatsapp_functions;

-- How many attempts of all users live; the count stops at `most`. An attempt that is left over takes no place from
-- others.
DROP FUNCTION whatsapp_private.live_attempts(FLOAT8, INTEGER);
CREATE FUNCTION whatsapp_private.live_attempts(most INTEGER) RETURNS INTEGER
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  SELECT count(*) FROM (
    SELECT FROM whatsapp_private.attempts a
    WHERE a.ended_at IS NULL AND a.deadline > whatsapp_private.overdue_before()
      AND NOT whatsapp_private.left_over(a, now())
    LIMIT most
  ) AS live
$function$;
REVOKE ALL ON FUNCTION whatsapp_private.live_attempts(INTEGER) FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION whatsapp_private.live_attempts(INTEGER) TO whatsapp_functions;

-- migrations/functions/ makes these functions again, with other parameters or another answer.
DROP FUNCTION IF EXISTS whatsapp_private.claim_v1(UUID, UUID, FLOAT8, INTEGER, FLOAT8[], INTEGER, FLOAT8);
DROP FUNCTION IF EXISTS whatsapp_private.connected_v1(UUID, UUID, TEXT);
DROP FUNCTION IF EXISTS whatsapp_private.end_v1(UUID, UUID, TIMESTAMPTZ, TEXT, BOOLEAN);
DROP FUNCTION IF EXISTS whatsapp_private.give_up_v1(UUID, UUID);
DROP FUNCTION IF EXISTS whatsapp_private.open_phase_v1(UUID, TEXT, TEXT, FLOAT8);
DROP FUNCTION IF EXISTS whatsapp_private.release_v1(UUID, UUID, TEXT);
DROP FUNCTION IF EXISTS whatsapp_private.renew_v1(UUID, UUID, FLOAT8, BOOLEAN, BOOLEAN);
DROP FUNCTION IF EXISTS whatsapp_private.session_v1(UUID);
