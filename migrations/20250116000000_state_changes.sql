-- State changes become database functions (migrations/functions/). The user's row in public.whatsapp_sessions becomes a
-- copy of the session: nothing is decided from the row, and no state change waits for it.

-- Fail after 5 s of waiting for a lock; the migration may be run again. Otherwise every statement that wants the same
-- table would wait behind it.
SET LOCAL lock_timeout = '5s';

-- The functions are SECURITY DEFINER, so a login needs no right on the tables that they change. They run as
-- whatsapp_functions: nobody can log in as this role, it owns no table, and row level security holds for it. The owner
-- of the tables becomes its member, because only a member may give functions to a role and replace them. Roles belong
-- to the whole server, so a migration of another database may have made this one.
DO $role$
BEGIN
  IF to_regrole('whatsapp_functions') IS NULL THEN
    CREATE ROLE whatsapp_functions NOLOGIN;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
  NULL;  -- a migration of another database made it in the same moment
END
$role$;
DO $membership$
BEGIN
  IF NOT pg_has_role('whatsapp_functions', 'USAGE') THEN
    EXECUTE format('grant whatsapp_functions to %I', current_user);
  END IF;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE insufficient_privilege USING
    MESSAGE = format('the role whatsapp_functions was made by another owner, and %I is no member of it', current_user),
    HINT = format('As the role that made it, or as a superuser: GRANT whatsapp_functions TO %I;', current_user);
END
$membership$;

-- Rights. The logins of API and worker lose their rights on the tables. The database functions take their place.
REVOKE authenticated FROM whatsapp_api;
REVOKE ALL ON whatsapp_private.attempts, whatsapp_private.devices, public.whatsapp_sessions
  FROM whatsapp_api, whatsapp_worker;
REVOKE ALL ON FUNCTION whatsapp_private.stored_jid(BYTEA) FROM whatsapp_api;

-- A server process notices within half a second that its client is gone, and its locks end. Without this setting they
-- would last until statement_timeout.
DO $settings$
DECLARE
  wanted RECORD;
BEGIN
  FOR wanted IN SELECT * FROM (VALUES ('whatsapp_api'), ('whatsapp_worker'), ('whatsapp_engine')) AS roles (name) LOOP
    EXECUTE format('alter role %I set client_connection_check_interval = %L', wanted.name, '500ms');
  END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE WARNING 'The settings of the roles are left as they are: % may not change them', current_user
    USING HINT = 'Run this file''s ALTER ROLE statements as the role that made them; infra.migrate verify names them.';
END
$settings$;

-- Attempts.
-- Whether the session shows an error because of this attempt. True after an end that the person did not choose, until a
-- disconnect dismisses it.
ALTER TABLE whatsapp_private.attempts ADD COLUMN failed BOOLEAN NOT NULL DEFAULT false;
UPDATE whatsapp_private.attempts a SET failed = true
WHERE a.outcome NOT IN ('connected', 'cancelled', 'unlinked_from_phone')
  -- Until now only the user's row told whether the person had dismissed the error.
  AND EXISTS (SELECT FROM public.whatsapp_sessions s WHERE s.user_id = a.user_id AND s.session_status = 'error');
-- The sweep of task tokens finds the ended attempts that still have one.
CREATE INDEX attempts_ended_with_token ON whatsapp_private.attempts (ended_at) WHERE task_token IS NOT NULL;

-- Devices. updated_at meant three things: when the phone scanned, when the last QR could be scanned, and when cleanup
-- started the unlink. scanned_at and unlink_due_at replace the first and the third. The second follows from created_at:
-- a device is stored with its first QR, and its QRs can be scanned for 160 s.
ALTER TABLE whatsapp_private.devices
  ADD COLUMN scanned_at TIMESTAMPTZ,
  ADD COLUMN unlink_due_at TIMESTAMPTZ;  -- when cleanup starts its unlink
UPDATE whatsapp_private.devices SET scanned_at = updated_at WHERE state IN ('linking', 'linked');
UPDATE whatsapp_private.devices SET
  unlink_due_at = updated_at + least(interval '4 minutes' * 2 ^ least(unlink_starts, 10), interval '1 day')
WHERE state = 'unlinking';
ALTER TABLE whatsapp_private.devices
  DROP COLUMN updated_at,
  ADD CONSTRAINT devices_unlinking_is_due CHECK ((state = 'unlinking') = (unlink_due_at IS NOT NULL));
CREATE INDEX devices_to_unlink ON whatsapp_private.devices (unlink_due_at) WHERE state = 'unlinking';
CREATE INDEX devices_given_up ON whatsapp_private.devices (created_at) WHERE state = 'unlinking';
CREATE INDEX devices_without_owner ON whatsapp_private.devices (created_at)
  WHERE user_id IS NULL AND state <> 'unlinking';

-- One row for each user who ever paired. It holds what attempts and devices do not.
CREATE TABLE whatsapp_private.sessions (
  user_id UUID PRIMARY KEY REFERENCES auth.users (id) ON DELETE CASCADE,
  -- The text of the newest QR; attempts says for how long it can be scanned.
  qr_code TEXT,
  messages_sent INTEGER NOT NULL DEFAULT 0,
  messages_received INTEGER NOT NULL DEFAULT 0,
  last_seen TIMESTAMPTZ,
  -- Why a linked session ended; no function of this release writes a reason here. The reason of an attempt that ended
  -- badly is attempts.outcome.
  ended_reason TEXT,
  -- version counts the session's changes. The user's row shows shown_version, and is behind while that is smaller.
  version BIGINT NOT NULL DEFAULT 0,
  shown_version BIGINT NOT NULL DEFAULT 0,
  behind BOOLEAN NOT NULL GENERATED ALWAYS AS (shown_version < version) STORED,
  changed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  -- From when on cleanup writes the user's row, if it is behind.
  show_due_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX sessions_behind ON whatsapp_private.sessions (show_due_at) WHERE behind;

-- The answers of calls, by the id of the call. A call whose answer was lost is repeated with the same id: it gets the
-- stored answer and changes nothing more. A sweep deletes answers after five minutes.
CREATE TABLE whatsapp_private.answers (
  call_id UUID PRIMARY KEY,
  answer JSONB NOT NULL,
  answered_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX answers_by_age ON whatsapp_private.answers (answered_at);

ALTER TABLE whatsapp_private.sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE whatsapp_private.answers ENABLE ROW LEVEL SECURITY;

-- The user may write anything into their row of public.whatsapp_sessions. A limit keeps a QR of many megabytes out.
UPDATE public.whatsapp_sessions SET qr_code = NULL WHERE octet_length(qr_code) > 16384;
-- Run the product's deferred triggers now, because ALTER TABLE refuses while they wait.
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE public.whatsapp_sessions
  ADD CONSTRAINT whatsapp_sessions_qr_code_is_short CHECK (octet_length(qr_code) <= 16384);

-- Take over what only the users' rows hold. Mark a row as behind (version 1) when it shows a pairing, or when its
-- "connected" does not agree with the devices. Cleanup then writes it.
INSERT INTO whatsapp_private.sessions (user_id, messages_sent, messages_received, last_seen, version)
SELECT s.user_id, greatest(s.messages_sent, 0), greatest(s.messages_received, 0),
       CASE WHEN s.last_seen BETWEEN 'epoch' AND now() THEN s.last_seen END,
       CASE WHEN s.session_status IN ('connecting', 'waiting_qr')
              OR (s.session_status = 'connected') <> EXISTS (
                SELECT FROM whatsapp_private.devices d WHERE d.user_id = s.user_id AND d.state = 'linked'
              )
         THEN 1 ELSE 0 END
FROM public.whatsapp_sessions s JOIN auth.users u ON u.id = s.user_id;

-- A database function sees the rows of one user only, and reads neither auth.users nor whatsmeow's tables. The next
-- three functions and stored_jid run as the owner of the tables. Each answers one question that goes beyond that.

-- The user of an attempt; NULL when the attempt does not exist.
CREATE FUNCTION whatsapp_private.user_of_attempt(attempt UUID) RETURNS UUID
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  SELECT a.user_id FROM whatsapp_private.attempts a WHERE a.id = attempt
$function$;

-- Whether a user has a row, also where a policy of the product hides it.
CREATE FUNCTION whatsapp_private.has_row(p_user UUID) RETURNS BOOLEAN
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  SELECT EXISTS (SELECT FROM public.whatsapp_sessions s WHERE s.user_id = p_user)
$function$;

-- How many attempts of all users live; the count stops at `most`. An overdue attempt does not count, because its
-- workflow and linker are gone. Cleanup ends it; until then it takes no place from others.
CREATE FUNCTION whatsapp_private.live_attempts(overdue_seconds FLOAT8, most INTEGER) RETURNS INTEGER
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
  SELECT count(*) FROM (
    SELECT FROM whatsapp_private.attempts a
    WHERE a.ended_at IS NULL AND a.deadline > now() - make_interval(secs => overdue_seconds) LIMIT most
  ) AS live
$function$;

-- Keep a user from being deleted until the transaction ends, as a foreign key does. A deletion locks the user, and then
-- attempts, devices and the session in its own order. A state change that locked one of these first could deadlock with
-- the deletion. Where the owner of this function may not lock users, Postgres may refuse the deletion as a deadlock.
CREATE FUNCTION whatsapp_private.hold_user(p_user UUID) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
  IF has_table_privilege('auth.users', 'SELECT') AND has_table_privilege('auth.users', 'UPDATE') THEN
    PERFORM FROM auth.users u WHERE u.id = p_user FOR KEY SHARE;
  END IF;
END;
$function$;

-- Where search_path does not name pg_temp, Postgres looks there first for types. A caller could then put a domain in
-- the place of text, and the domain's check would run the caller's code as the function's owner.
ALTER FUNCTION whatsapp_private.stored_jid(BYTEA) SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION whatsapp_private.forget_device(UUID, UUID) SET search_path = pg_catalog, pg_temp;

REVOKE ALL ON FUNCTION whatsapp_private.user_of_attempt(UUID), whatsapp_private.live_attempts(FLOAT8, INTEGER),
  whatsapp_private.hold_user(UUID), whatsapp_private.has_row(UUID) FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION whatsapp_private.user_of_attempt(UUID), whatsapp_private.live_attempts(FLOAT8, INTEGER),
  whatsapp_private.hold_user(UUID), whatsapp_private.has_row(UUID), whatsapp_private.stored_jid(BYTEA)
  TO whatsapp_functions;

-- A role can be given a function only in a schema where it may CREATE. No grant covers user_id of a stored attempt or
-- device, so no function can move one to another user.
GRANT USAGE, CREATE ON SCHEMA whatsapp_private TO whatsapp_functions;
GRANT SELECT,
  INSERT (id, user_id, number, deadline, failures),
  UPDATE (
    phase, deadline, task_token, lease_id, lease_expires_at, legs, qr_shown_at, qr_expires_at, reachable, verdict,
    failures, failed, ended_at, outcome
  )
  ON whatsapp_private.attempts TO whatsapp_functions;
GRANT SELECT,
  INSERT (user_id, attempt_id, fingerprint, lease_id, lease_expires_at, created_at),
  UPDATE (jid, state, lease_id, lease_expires_at, scanned_at, unlink_starts, unlink_due_at)
  ON whatsapp_private.devices TO whatsapp_functions;
GRANT SELECT, INSERT (user_id), UPDATE (
    qr_code, last_seen, ended_reason, version, shown_version, changed_at, show_due_at
  )
  ON whatsapp_private.sessions TO whatsapp_functions;
GRANT SELECT, INSERT (call_id, answer) ON whatsapp_private.answers TO whatsapp_functions;
GRANT SELECT (user_id, session_status, qr_code, phone_number, connected_at, last_seen),
  INSERT (user_id, session_status, qr_code, phone_number, connected_at, last_seen),
  UPDATE (session_status, qr_code, phone_number, connected_at, last_seen)
  ON public.whatsapp_sessions TO whatsapp_functions;

-- whatsapp_worker also runs statements of its own on one table at a time, for linker, unlink and cleanup
-- (layers/shared/whatsapp_pairing/repository). It keeps the rights that these need.
GRANT SELECT (id, deadline, ended_at, user_id, task_token), UPDATE (task_token)
  ON whatsapp_private.attempts TO whatsapp_worker;
GRANT SELECT, DELETE, UPDATE (state, jid, lease_id, lease_expires_at, unlink_due_at)
  ON whatsapp_private.devices TO whatsapp_worker;
GRANT SELECT (user_id, messages_sent, messages_received, last_seen, version, behind, changed_at, show_due_at),
  INSERT (user_id, messages_sent, messages_received, last_seen, version),
  UPDATE (messages_sent, messages_received, last_seen, version, changed_at, show_due_at)
  ON whatsapp_private.sessions TO whatsapp_worker;
GRANT SELECT (call_id, answered_at), DELETE ON whatsapp_private.answers TO whatsapp_worker;
GRANT SELECT (user_id, session_status, last_seen, messages_sent, messages_received, updated_at)
  ON public.whatsapp_sessions TO whatsapp_worker;

-- Policies. A function names one user, or 'all', in the setting whatsapp.user_id, and sees only the rows of that user.
-- So a mistake in a WHERE clause shows and changes no row of another user. The worker's own statements are about all
-- users. They change only given-up devices, devices of deleted users, tokens of ended attempts, sessions and answers.
DO $policies$
DECLARE
  named CONSTANT TEXT := $$((SELECT current_setting('whatsapp.user_id', true)) IN (user_id::text, 'all'))$$;
  wanted RECORD;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES ('whatsapp_private.attempts'), ('whatsapp_private.devices'), ('public.whatsapp_sessions'))
      AS tables (name)
  LOOP
    EXECUTE format('drop policy if exists "WhatsApp pairing serves every user" on %s', wanted.name);
  END LOOP;
  FOR wanted IN
    SELECT * FROM (VALUES
      ('whatsapp_private.attempts'), ('whatsapp_private.devices'), ('whatsapp_private.sessions'),
      ('public.whatsapp_sessions')
    ) AS tables (name)
  LOOP
    EXECUTE format('create policy "A function sees the user whom it names" on %s to whatsapp_functions using %s',
                   wanted.name, named);
  END LOOP;
END
$policies$;
CREATE POLICY "A function keeps its answers" ON whatsapp_private.answers TO whatsapp_functions USING (true);
CREATE POLICY "Sweeps read every attempt" ON whatsapp_private.attempts FOR SELECT TO whatsapp_worker USING (true);
CREATE POLICY "Sweeps clear tokens of the ended" ON whatsapp_private.attempts FOR UPDATE TO whatsapp_worker
  USING (ended_at IS NOT NULL) WITH CHECK (task_token IS NULL);
CREATE POLICY "Sweeps read every device" ON whatsapp_private.devices FOR SELECT TO whatsapp_worker USING (true);
CREATE POLICY "Sweeps give devices up" ON whatsapp_private.devices FOR UPDATE TO whatsapp_worker
  USING (state = 'unlinking' OR user_id IS NULL) WITH CHECK (state = 'unlinking');
CREATE POLICY "Sweeps delete what was given up" ON whatsapp_private.devices FOR DELETE TO whatsapp_worker
  USING (state = 'unlinking');
CREATE POLICY "Sweeps see every session" ON whatsapp_private.sessions TO whatsapp_worker USING (true);
CREATE POLICY "Sweeps delete answers" ON whatsapp_private.answers TO whatsapp_worker USING (true);
CREATE POLICY "Sweeps read the rows" ON public.whatsapp_sessions FOR SELECT TO whatsapp_worker USING (true);

-- An attempt at one moment, as attempt_v1 reads it and the functions about one attempt answer it.
CREATE TYPE whatsapp_private.attempt_state AS (
  id UUID,
  user_id UUID,
  phase TEXT,
  deadline TIMESTAMPTZ,
  age FLOAT8,          -- seconds since the start
  remaining FLOAT8,    -- seconds until the deadline
  since_scan FLOAT8,   -- seconds since a phone scanned; NULL: none has
  task_token TEXT,
  alive BOOLEAN,       -- the lease is not over
  legs INTEGER,
  qr_shown BOOLEAN,
  reachable BOOLEAN,
  verdict TEXT,
  outcome TEXT,
  version BIGINT       -- of the session
);
