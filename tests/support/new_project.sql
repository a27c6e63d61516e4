-- Turn the stand-in (infra/postgres/supabase.sql) into a project of the year 2026: nothing that a migration creates is
-- granted to the roles of Supabase's API. Also take the schema `public` away from everybody, as some products do.
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;
alter default privileges revoke execute on functions from public;
revoke usage on schema public from public, anon, authenticated, service_role;
