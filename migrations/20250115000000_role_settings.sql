-- Settings of the three login roles. A role's setting beats the database's and holds for every statement, so the
-- functions send none of them: a call that is one statement is one exchange with the server.
--
-- A pooler opens its server connections as these roles, so the settings hold behind a pooler too. whatsapp_engine's
-- statements are whatsmeow's, so that role gets longer limits.

SET LOCAL lock_timeout = '5s';

DO $settings$
DECLARE
  wanted RECORD;
BEGIN
  FOR wanted IN
    SELECT roles.name AS role, settings.name AS setting, settings.value
    FROM (VALUES ('whatsapp_api', '4s', '3s'), ('whatsapp_worker', '4s', '3s'), ('whatsapp_engine', '30s', '10s'))
      AS roles (name, statement, lock)
    CROSS JOIN LATERAL (VALUES
      -- A statement that takes longer waits for a lock or a sick server. A linker's lease lasts 8 s.
      ('statement_timeout', roles.statement),
      ('lock_timeout', roles.lock),
      -- A function that is frozen within a transaction loses its locks before a lease is over.
      ('idle_in_transaction_session_timeout', '5s'),
      -- The functions read times and rows as these say, whatever the product has set for its database.
      ('datestyle', 'ISO, MDY'),
      ('row_security', 'on'),
      ('default_transaction_isolation', 'read committed')
    ) AS settings (name, value)
  LOOP
    EXECUTE format('alter role %I set %I = %L', wanted.role, wanted.setting, wanted.value);
  END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE WARNING 'The settings of the roles are left as they are: % may not change them', current_user
    USING HINT = 'Run this file''s ALTER ROLE statements as the role that made them; infra.migrate verify names them.';
END
$settings$;
