-- One row per user: what the user's WhatsApp session looks like. Users read and edit their own row (RLS),
-- so nothing that decides whose WhatsApp is opened may ever be read from it.
--
-- Production made this table by hand, so any part of it may be there already. Every part is looked for
-- first and added only when missing: a database that has them all is not locked at all, and rows are never
-- changed. Where rows stand against a rule (a duplicate user, an unknown status), the migration fails as a
-- whole and says why.
--
-- Left as found, and reported by `python -m infra.migrate verify`: a column of another type or default, an
-- index or a check of the same name with another definition. A policy, trigger or function of our name with
-- another definition is put right instead: it holds no data, and an open policy under a trusted name is a
-- hole.

-- Whoever waits for a lock makes everybody behind them wait too: rather fail and be run again.
SET LOCAL lock_timeout = '5s';

CREATE TABLE IF NOT EXISTS public.whatsapp_sessions (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
  phone_number VARCHAR(20),
  session_status VARCHAR(20) DEFAULT 'disconnected' NOT NULL,
  qr_code TEXT,
  connected_at TIMESTAMPTZ,
  last_seen TIMESTAMPTZ,
  messages_sent INTEGER DEFAULT 0 NOT NULL,
  messages_received INTEGER DEFAULT 0 NOT NULL,
  created_at TIMESTAMPTZ DEFAULT NOW() NOT NULL,
  updated_at TIMESTAMPTZ DEFAULT NOW() NOT NULL,
  CONSTRAINT valid_session_status CHECK (
    session_status IN ('disconnected', 'connecting', 'waiting_qr', 'connected', 'error')
  ),
  UNIQUE (user_id)
);

-- Columns. ADD COLUMN IF NOT EXISTS locks the table even when it adds nothing, hence the look first.
DO $columns$
DECLARE
  wanted RECORD;
  present RECORD;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('id', 'uuid', 'gen_random_uuid()', true),
      ('user_id', 'uuid', NULL, true),
      ('phone_number', 'varchar(20)', NULL, false),
      ('session_status', 'varchar(20)', '''disconnected''', true),
      ('qr_code', 'text', NULL, false),
      ('connected_at', 'timestamptz', NULL, false),
      ('last_seen', 'timestamptz', NULL, false),
      ('messages_sent', 'integer', '0', true),
      ('messages_received', 'integer', '0', true),
      ('created_at', 'timestamptz', 'now()', true),
      ('updated_at', 'timestamptz', 'now()', true)
    ) AS columns (name, type, default_value, required)
  LOOP
    SELECT attnotnull, atthasdef INTO present
    FROM pg_attribute
    WHERE attrelid = 'public.whatsapp_sessions'::REGCLASS AND attname = wanted.name AND NOT attisdropped;

    IF NOT found THEN
      EXECUTE format('alter table public.whatsapp_sessions add column %I %s', wanted.name, wanted.type)
        || COALESCE(' default ' || wanted.default_value, '')
        || CASE WHEN wanted.required THEN ' not null' ELSE '' END;
      CONTINUE;
    END IF;
    IF wanted.default_value IS NOT NULL AND NOT present.atthasdef THEN
      EXECUTE format('alter table public.whatsapp_sessions alter column %I set default %s',
                     wanted.name, wanted.default_value);
    END IF;
    IF wanted.required AND NOT present.attnotnull THEN
      EXECUTE format('alter table public.whatsapp_sessions alter column %I set not null', wanted.name);
    END IF;
  END LOOP;
END
$columns$;

-- Constraints, by what they say: production's may carry other names. The check goes by its name.
DO $constraints$
DECLARE
  sessions CONSTANT REGCLASS := 'public.whatsapp_sessions'::REGCLASS;
  users CONSTANT REGCLASS := 'auth.users'::REGCLASS;
  user_column CONSTANT SMALLINT := (
    SELECT attnum FROM pg_attribute WHERE attrelid = sessions AND attname = 'user_id'
  );
  other NAME;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = sessions AND contype = 'p') THEN
    ALTER TABLE public.whatsapp_sessions ADD PRIMARY KEY (id);
  END IF;
  IF NOT EXISTS (
    SELECT FROM pg_constraint WHERE conrelid = sessions AND contype = 'u' AND conkey = ARRAY[user_column]
  ) THEN
    ALTER TABLE public.whatsapp_sessions ADD UNIQUE (user_id);
  END IF;
  -- A key to auth.users without the cascade would keep a user from being deleted: it gives way to ours.
  FOR other IN
    SELECT conname FROM pg_constraint
    WHERE conrelid = sessions AND contype = 'f' AND conkey = ARRAY[user_column] AND confrelid = users
      AND confdeltype <> 'c'
  LOOP
    EXECUTE format('alter table public.whatsapp_sessions drop constraint %I', other);
  END LOOP;
  IF NOT EXISTS (
    SELECT FROM pg_constraint
    WHERE conrelid = sessions AND contype = 'f' AND conkey = ARRAY[user_column] AND confrelid = users
  ) THEN
    ALTER TABLE public.whatsapp_sessions
      ADD FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
  END IF;
  IF NOT EXISTS (
    SELECT FROM pg_constraint WHERE conrelid = sessions AND conname = 'valid_session_status'
  ) THEN
    ALTER TABLE public.whatsapp_sessions ADD CONSTRAINT valid_session_status CHECK (
      session_status IN ('disconnected', 'connecting', 'waiting_qr', 'connected', 'error')
    );
  END IF;
END
$constraints$;

-- Indexes. Not CREATE INDEX IF NOT EXISTS: it stops writers before it looks.
DO $indexes$
BEGIN
  IF to_regclass('public.idx_whatsapp_sessions_user_id') IS NULL THEN
    CREATE INDEX idx_whatsapp_sessions_user_id ON public.whatsapp_sessions (user_id);
  END IF;
  IF to_regclass('public.idx_whatsapp_sessions_status') IS NULL THEN
    CREATE INDEX idx_whatsapp_sessions_status ON public.whatsapp_sessions (session_status);
  END IF;
  IF to_regclass('public.idx_whatsapp_sessions_updated_at') IS NULL THEN
    CREATE INDEX idx_whatsapp_sessions_updated_at ON public.whatsapp_sessions (updated_at);
  END IF;
END
$indexes$;

-- Policies before row level security: from the moment it is on, they are there.
DO $policies$
DECLARE
  own CONSTANT TEXT := '(auth.uid() = user_id)';
  wanted RECORD;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('Users can view their own WhatsApp sessions', 'SELECT', own, NULL),
      ('Users can insert their own WhatsApp sessions', 'INSERT', NULL, own),
      ('Users can update their own WhatsApp sessions', 'UPDATE', own, own),
      ('Users can delete their own WhatsApp sessions', 'DELETE', own, NULL)
    ) AS policies (name, command, sees, writes)
  LOOP
    CONTINUE WHEN EXISTS (
      SELECT FROM pg_policies
      WHERE schemaname = 'public' AND tablename = 'whatsapp_sessions' AND policyname = wanted.name
        AND permissive = 'PERMISSIVE' AND roles = '{authenticated}' AND cmd = wanted.command
        AND qual IS NOT DISTINCT FROM wanted.sees AND with_check IS NOT DISTINCT FROM wanted.writes
    );
    EXECUTE format('drop policy if exists %I on public.whatsapp_sessions', wanted.name);
    EXECUTE format('create policy %I on public.whatsapp_sessions for %s to authenticated',
                   wanted.name, wanted.command)
      || COALESCE(' using ' || wanted.sees, '')
      || COALESCE(' with check ' || wanted.writes, '');
  END LOOP;
END
$policies$;

DO $row_level_security$
BEGIN
  IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = 'public.whatsapp_sessions'::REGCLASS) THEN
    ALTER TABLE public.whatsapp_sessions ENABLE ROW LEVEL SECURITY;
  END IF;
END
$row_level_security$;

-- Supabase opens every new table of `public` to anon and authenticated, with TRUNCATE, which RLS does not
-- guard.
REVOKE ALL ON public.whatsapp_sessions FROM PUBLIC, anon, authenticated;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.whatsapp_sessions TO authenticated;

-- The fixed search_path keeps a caller's own schema from standing in for ours (Supabase's advisor asks for
-- it).
CREATE OR REPLACE FUNCTION public.update_whatsapp_sessions_updated_at() RETURNS TRIGGER
LANGUAGE plpgsql SET search_path = '' AS $function$
BEGIN
  NEW.updated_at = NOW();
  RETURN NEW;
END;
$function$;

DO $trigger$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = 'public.whatsapp_sessions'::REGCLASS
      AND tgname = 'trigger_update_whatsapp_sessions_updated_at'
      AND tgfoid = 'public.update_whatsapp_sessions_updated_at()'::REGPROCEDURE
      AND tgtype = 19  -- before update, for each row
      AND tgqual IS NULL AND tgattr = '' AND tgenabled = 'O'
  ) THEN
    DROP TRIGGER IF EXISTS trigger_update_whatsapp_sessions_updated_at ON public.whatsapp_sessions;
    CREATE TRIGGER trigger_update_whatsapp_sessions_updated_at
      BEFORE UPDATE ON public.whatsapp_sessions
      FOR EACH ROW EXECUTE FUNCTION public.update_whatsapp_sessions_updated_at();
  END IF;
END
$trigger$;
