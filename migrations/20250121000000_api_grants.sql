-- The roles of Supabase's API get the same rights to the session rows in every project.
--
-- In older projects, default privileges grant every right on a new table of `public` to service_role, TRUNCATE too. In
-- projects since 2026, they grant nothing, and Postgres refuses service_role with 42501. Row level security decides
-- which rows `authenticated` sees. service_role passes it by.

-- Fail after 5 s of waiting for a lock; the migration may be run again. Otherwise every statement that wants the same
-- table would wait behind it.
SET LOCAL lock_timeout = '5s';

-- Revoke only what is too much. A role may have passed one of the four rights on, and Postgres revokes no such right.
REVOKE ALL ON public.whatsapp_sessions FROM PUBLIC, anon;
REVOKE TRUNCATE, REFERENCES, TRIGGER ON public.whatsapp_sessions FROM authenticated, service_role;
DO $maintain$
BEGIN
  IF current_setting('server_version_num')::INTEGER >= 170000 THEN
    REVOKE MAINTAIN ON public.whatsapp_sessions FROM authenticated, service_role;
  END IF;
END
$maintain$;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.whatsapp_sessions TO authenticated, service_role;

-- A right to a table needs the right to use its schema. A product may have taken USAGE from PUBLIC. Our functions and
-- the worker read the session rows too.
DO $usage$
DECLARE
  wanted NAME;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['authenticated', 'service_role', 'whatsapp_functions', 'whatsapp_worker'] LOOP
    IF has_schema_privilege('public', 'USAGE WITH GRANT OPTION') THEN
      EXECUTE format('grant usage on schema public to %I', wanted);
    ELSIF NOT has_schema_privilege(wanted, 'public', 'USAGE') THEN
      RAISE WARNING '% may not use the schema public, and % may not grant that', wanted, current_user
        USING HINT = format('As the owner of the schema: GRANT USAGE ON SCHEMA public TO %I;', wanted);
    END IF;
  END LOOP;
END
$usage$;
