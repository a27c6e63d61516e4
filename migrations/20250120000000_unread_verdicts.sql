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
  ADD ATTRIBUTE stored_fingerprint BYTEA;

-- A workflow ends its attempt within seconds of the deadline. A live attempt whose deadline is before this time has lost
-- its workflow: it is overdue.
CREATE FUNCTION whatsapp_private.overdue_before() RETURNS TIMESTAMPTZ
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $function$
  SELECT now() - interval '30 seconds'
$function$;
REVOKE ALL ON FUNCTION whatsapp_private.overdue_before() FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION whatsapp_private.overdue_before() TO whatsapp_functions, whatsapp_worker;

-- How many attempts of all users live; the count stops at `most`. An attempt that is overdue, or that has its verdict and
-- no linker, does not count. It only waits to be ended, and takes no place from others.
DROP FUNCTION whatsapp_private.live_attempts(FLOAT8, INTEGER);
CREATE FUNCTION whatsapp_private.live_attempts(most INTEGER) RETURNS INTEGER
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  SELECT count(*) FROM (
    SELECT FROM whatsapp_private.attempts a
    WHERE a.ended_at IS NULL AND a.deadline > whatsapp_private.overdue_before()
      AND (a.verdict IS NULL OR a.lease_expires_at > now())
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
DROP FUNCTION IF EXISTS whatsapp_private.session_v1(UUID);
