-- Give a bare Postgres the parts of Supabase that the migrations need: the three API roles, `auth.users`,
-- `auth.uid()`, and the default privileges that grant every new table of `public` to those roles. The local
-- system and the tests run this file in their own databases before the migrations.
--
-- The file may run again, and two programs may run it at the same time. It changes nothing in a database
-- whose schema `auth` is not ours (a real Supabase).

do $standin$
declare
  mark constant text := 'stand-in for Supabase, by whatsapp-pairing';
  role_name text;
begin
  -- Let two programs run this file in this database one after the other.
  perform pg_advisory_xact_lock(hashtext(mark));

  if to_regnamespace('auth') is not null
     and obj_description(to_regnamespace('auth'), 'pg_namespace') is distinct from mark then
    raise notice 'the auth schema is not a stand-in: nothing to do';
    return;
  end if;

  foreach role_name in array array['anon', 'authenticated', 'service_role'] loop
    if to_regrole(role_name) is null then
      begin
        execute format('create role %I nologin noinherit', role_name);
      exception when duplicate_object or unique_violation then
        -- The file has run in another database of this server meanwhile. Roles belong to the whole server,
        -- but the lock above belongs to one database.
        null;
      end;
    end if;
  end loop;
  if not (select rolbypassrls from pg_roles where rolname = 'service_role') then
    alter role service_role bypassrls;
  end if;

  create schema if not exists auth;
  execute format('comment on schema auth is %L', mark);

  create table if not exists auth.users (
    id uuid primary key default gen_random_uuid(),
    email text,
    created_at timestamptz default now()
  );
  -- As in Supabase, row level security is on. So a role needs more than a grant to see a user.
  if not (select relrowsecurity from pg_class where oid = 'auth.users'::regclass) then
    alter table auth.users enable row level security;
  end if;

  -- Read the claims of the caller's token. PostgREST and our functions set them for one transaction.
  create or replace function auth.jwt() returns jsonb language sql stable as $function$
    select nullif(current_setting('request.jwt.claims', true), '')::jsonb
  $function$;
  create or replace function auth.uid() returns uuid language sql stable as $function$
    select nullif(auth.jwt() ->> 'sub', '')::uuid
  $function$;
  create or replace function auth.role() returns text language sql stable as $function$
    select auth.jwt() ->> 'role'
  $function$;

  grant usage on schema public, auth to anon, authenticated, service_role;
  grant execute on function auth.jwt(), auth.uid(), auth.role() to anon, authenticated, service_role;

  -- As in Supabase, everything that a migration creates in `public` is granted to the three roles. Only row
  -- level security protects the rows.
  alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
  alter default privileges in schema public grant all on sequences to anon, authenticated, service_role;
  alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
end
$standin$;
