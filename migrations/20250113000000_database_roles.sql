-- One login role per need, each with no more than its statements use. A stolen URL then opens its own door only:
--
--   whatsapp_api     what users call: claims and ends attempts, shows them; becomes `authenticated` to read as a user
--   whatsapp_worker  what runs behind: attempts, bindings, the users' rows; no key
--   whatsapp_engine  whatsmeow: the device keys in schema whatsapp_engine, and nothing else
--
-- They have no password, so nobody can log in yet: setting one is part of a deployment. What whatsapp_engine may do
-- with whatsmeow's tables is granted by the step that makes them (`python -m infra.migrate up`).
--
-- Left as found, and reported by `verify`: a role of one of these names that is there already.

-- Whoever waits for a lock makes everybody behind them wait too: rather fail and be run again.
SET LOCAL lock_timeout = '5s';

-- Roles belong to the whole server: another database of it may have made them, or be about to.
DO $roles$
DECLARE
  wanted RECORD;
  -- A quarter for each: a storm of one need leaves room for the others and for the rest of the product.
  share CONSTANT INTEGER := greatest(current_setting('max_connections')::INTEGER / 4, 1);
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('whatsapp_api', 'NOINHERIT'),  -- what `authenticated` may do, it may only after SET ROLE
      ('whatsapp_worker', 'INHERIT'),
      ('whatsapp_engine', 'INHERIT')
    ) AS roles (name, inheritance)
  LOOP
    CONTINUE WHEN to_regrole(wanted.name) IS NOT NULL;
    BEGIN
      EXECUTE format('create role %I login %s connection limit %s', wanted.name, wanted.inheritance, share);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      CONTINUE;
    END;
    -- A function that is frozen within a transaction must not hold its locks for ever.
    EXECUTE format('alter role %I set idle_in_transaction_session_timeout = ''15s''', wanted.name);
  END LOOP;
END
$roles$;

DO $membership$
BEGIN
  IF NOT pg_has_role('whatsapp_api', 'authenticated', 'MEMBER') THEN
    GRANT authenticated TO whatsapp_api;
  END IF;
END
$membership$;

-- What the roles must learn from tables that they may not read, as functions of the tables' owner. Each answers one
-- question. plpgsql, because whatsmeow's tables may come later than this migration.

-- The JID under which whatsmeow has keys for a binding, or NULL: only who knows the fingerprint can ask.
CREATE OR REPLACE FUNCTION whatsapp_private.stored_jid(fingerprint BYTEA) RETURNS TEXT
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $function$
BEGIN
  RETURN (
    SELECT e.jid FROM whatsapp_engine.whatsmeow_device e WHERE sha256(e.adv_key) = stored_jid.fingerprint LIMIT 1
  );
END;
$function$;

-- Delete a binding and its keys, for who holds the lease. Most of whatsmeow's tables hang on the device row by
-- cascading foreign keys. Its privacy tokens do not, nor does the map from the account's hidden id to its number: no
-- key, yet not ours to keep when the account's last device goes.
CREATE OR REPLACE FUNCTION whatsapp_private.forget_device(device UUID, lease UUID) RETURNS VOID
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $function$
BEGIN
  WITH gone AS (
    DELETE FROM whatsapp_private.devices d WHERE d.id = device AND d.lease_id = lease
    RETURNING d.fingerprint, d.jid
  ), keys AS (
    DELETE FROM whatsapp_engine.whatsmeow_device e USING gone WHERE sha256(e.adv_key) = gone.fingerprint
  ), tokens AS (
    DELETE FROM whatsapp_engine.whatsmeow_privacy_tokens t USING gone WHERE t.our_jid = gone.jid
  )
  DELETE FROM whatsapp_engine.whatsmeow_lid_map m USING gone
  WHERE m.pn = substring(gone.jid FROM '^[0-9]+') AND NOT EXISTS (
    SELECT FROM whatsapp_private.devices other
    WHERE other.jid <> gone.jid AND substring(other.jid FROM '^[0-9]+') = m.pn
  );
END;
$function$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA whatsapp_private FROM PUBLIC, anon, authenticated;

-- Grants: exactly the columns that the statements of layers/shared/whatsapp_pairing/repository write. Nobody may
-- change whose an attempt or a binding is.
GRANT USAGE ON SCHEMA whatsapp_private TO whatsapp_api, whatsapp_worker;
GRANT USAGE ON SCHEMA whatsapp_engine TO whatsapp_engine;

GRANT SELECT,
  INSERT (id, user_id, number, deadline, failures),
  UPDATE (ended_at, outcome, failures, lease_id, lease_expires_at, qr_expires_at)
  ON whatsapp_private.attempts TO whatsapp_api;
GRANT SELECT,
  UPDATE (
    phase, deadline, task_token, lease_id, lease_expires_at, legs, qr_shown_at, qr_expires_at, reachable, verdict,
    failures, ended_at, outcome
  )
  ON whatsapp_private.attempts TO whatsapp_worker;

GRANT SELECT, UPDATE (state, updated_at) ON whatsapp_private.devices TO whatsapp_api;
GRANT SELECT, DELETE,
  INSERT (user_id, attempt_id, fingerprint, lease_id, lease_expires_at),
  UPDATE (jid, state, lease_id, lease_expires_at, updated_at)
  ON whatsapp_private.devices TO whatsapp_worker;

-- The users' rows are written by both, and nobody reads a QR but as its user.
GRANT SELECT (user_id, session_status, phone_number, connected_at),
  INSERT (user_id, session_status, qr_code, phone_number, connected_at, last_seen),
  UPDATE (session_status, qr_code, phone_number, connected_at)
  ON public.whatsapp_sessions TO whatsapp_api;
GRANT SELECT (id, user_id, session_status, phone_number, connected_at, last_seen, updated_at),
  INSERT (user_id, session_status, qr_code, phone_number, connected_at, last_seen),
  UPDATE (session_status, qr_code, phone_number, connected_at, last_seen)
  ON public.whatsapp_sessions TO whatsapp_worker;

GRANT EXECUTE ON FUNCTION whatsapp_private.stored_jid(BYTEA) TO whatsapp_api, whatsapp_worker;
GRANT EXECUTE ON FUNCTION whatsapp_private.forget_device(UUID, UUID) TO whatsapp_worker;

-- Row level security is on for all three tables: without a policy of their own the roles would see no row. They work
-- for every user, so the policies let every row pass and the grants say what may be done with it.
DO $policies$
DECLARE
  wanted RECORD;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('whatsapp_private', 'attempts'), ('whatsapp_private', 'devices'), ('public', 'whatsapp_sessions')
    ) AS tables (schema, name)
  LOOP
    EXECUTE format('drop policy if exists "WhatsApp pairing serves every user" on %I.%I', wanted.schema, wanted.name);
    EXECUTE format(
      'create policy "WhatsApp pairing serves every user" on %I.%I to whatsapp_api, whatsapp_worker using (true)',
      wanted.schema, wanted.name
    );
  END LOOP;
END
$policies$;
