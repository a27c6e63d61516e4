-- What decides whose WhatsApp is opened lives here, out of reach of anon and authenticated:
-- the row in public.whatsapp_sessions is its owner's to edit and only shows what these tables know.

-- The foreign keys lock auth.users. A migration that waits for the lock makes every sign-in wait behind it, so it fails
-- after 5 s and may be run again.
SET LOCAL lock_timeout = '5s';

CREATE SCHEMA IF NOT EXISTS whatsapp_private;
-- whatsmeow creates and upgrades its own tables in here (python -m infra.migrate up runs that step).
CREATE SCHEMA IF NOT EXISTS whatsapp_engine;
REVOKE ALL ON SCHEMA whatsapp_private, whatsapp_engine FROM PUBLIC, anon, authenticated;

-- One click on "Connect WhatsApp". The last attempt of a user is also the session's last word:
-- its outcome says how it ended.
CREATE TABLE whatsapp_private.attempts (
  id UUID PRIMARY KEY,
  user_id UUID NOT NULL REFERENCES auth.users(id) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  phase TEXT NOT NULL DEFAULT 'qr' CHECK (phase IN ('qr', 'auth')),
  started_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  deadline TIMESTAMPTZ NOT NULL,
  -- Callback of the workflow's present wait state.
  task_token TEXT,
  -- The one live linker; it must renew before lease_expires_at.
  lease_id UUID,
  lease_expires_at TIMESTAMPTZ,
  legs INTEGER NOT NULL DEFAULT 0,
  qr_shown_at TIMESTAMPTZ,
  qr_expires_at TIMESTAMPTZ,
  -- Whether WhatsApp answered when the linker last tried; tells two kinds of timeout apart.
  reachable BOOLEAN NOT NULL DEFAULT true,
  -- What a linker found out before it ended; the workflow turns it into the outcome.
  verdict TEXT,
  -- Failed attempts in a row up to this one: the pause before the next grows with it.
  failures INTEGER NOT NULL DEFAULT 0,
  ended_at TIMESTAMPTZ,
  outcome TEXT,
  UNIQUE (user_id, number),
  CONSTRAINT attempts_ended_with_outcome CHECK ((ended_at IS NULL) = (outcome IS NULL))
);

-- Two clicks at once are one attempt.
CREATE UNIQUE INDEX attempts_one_live_per_user ON whatsapp_private.attempts (user_id) WHERE ended_at IS NULL;
CREATE INDEX attempts_live_by_deadline ON whatsapp_private.attempts (deadline) WHERE ended_at IS NULL;

-- A device that the engine has offered (a QR was shown for it) or linked. Written before the QR is shown, so that
-- keys which whatsmeow stores at the moment of the scan always have an owner, whatever dies in that moment.
-- No foreign keys: a binding must outlive its user until the device is removed at WhatsApp.
CREATE TABLE whatsapp_private.devices (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID NOT NULL,
  attempt_id UUID NOT NULL,
  -- SHA-256 of the adv secret, which stands in the QR and in whatsmeow's device row.
  fingerprint BYTEA NOT NULL UNIQUE,
  -- WhatsApp gives a number out again, so an old binding may name the same.
  jid TEXT,
  state TEXT NOT NULL DEFAULT 'offered' CHECK (state IN ('offered', 'linking', 'linked', 'unlinking')),
  -- Whoever opens an engine on the device holds this.
  lease_id UUID,
  lease_expires_at TIMESTAMPTZ,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX devices_by_attempt ON whatsapp_private.devices (attempt_id);
CREATE UNIQUE INDEX devices_one_linked_per_user ON whatsapp_private.devices (user_id) WHERE state = 'linked';
CREATE INDEX devices_to_unlink ON whatsapp_private.devices (updated_at) WHERE state = 'unlinking';

-- Behind an API that exposes every schema these would still show nothing to a user.
ALTER TABLE whatsapp_private.attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE whatsapp_private.devices ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON ALL TABLES IN SCHEMA whatsapp_private FROM PUBLIC, anon, authenticated;

-- A project that recorded the first migration's version itself has skipped what ours adds to it: say it again.
REVOKE ALL ON public.whatsapp_sessions FROM PUBLIC, anon, authenticated;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.whatsapp_sessions TO authenticated;
ALTER FUNCTION public.update_whatsapp_sessions_updated_at() SET search_path = '';

-- Cleanup looks for rows that no live attempt explains.
CREATE INDEX whatsapp_sessions_pending ON public.whatsapp_sessions (updated_at)
  WHERE session_status IN ('connecting', 'waiting_qr');

-- A frontend on Supabase may follow its row instead of polling. In restored and self-hosted projects the publication may
-- belong to another role; pairing works without it.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_publication WHERE pubname = 'supabase_realtime') AND NOT EXISTS (
    SELECT FROM pg_publication_tables
    WHERE pubname = 'supabase_realtime' AND schemaname = 'public' AND tablename = 'whatsapp_sessions'
  ) THEN
    ALTER PUBLICATION supabase_realtime ADD TABLE public.whatsapp_sessions;
  END IF;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE WARNING 'the publication supabase_realtime belongs to another role, so Realtime does not show whatsapp_sessions'
    USING HINT = 'As a superuser: ALTER PUBLICATION supabase_realtime ADD TABLE public.whatsapp_sessions;';
END $$;
