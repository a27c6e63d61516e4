"""The queries of `catalog_facts` about rights: what PUBLIC, the roles of Supabase's API and our own roles may do.

`catalog_facts.collect_facts` puts the list of our tables before each query, and gives the parameters.
"""

from __future__ import annotations

# The rights of a role by its own grants and by those of the roles that it inherits. A grant to PUBLIC counts for PUBLIC
# only, so that one grant is one finding. An object without any grant has the defaults of Postgres, by which PUBLIC may
# call a new function.
_PRIVILEGES = """
    , grants as (
      select ' on schema ' || nspname as place, null as object, grantee, privilege_type
      from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner)))
      where nspname = any(%(schemas)s)
      union all
      select place, object, grantee, privilege_type
      from (
        select case when c.oid = to_regclass(%(sessions)s) then ' on ' || %(sessions)s
               else ' inside schema ' || n.nspname end as place,
          case when c.oid <> to_regclass(%(sessions)s) then c.relname end as object,
          coalesce(
            a.acl, acldefault((case c.relkind when 'S' then 's' else 'r' end)::"char", c.relowner)
          ) as acl
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
          cross join lateral (
            select c.relacl as acl
            union all select attacl from pg_attribute where attrelid = c.oid and attacl is not null
          ) as a
        where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
          and (c.oid = to_regclass(%(sessions)s) or n.nspname = any(%(schemas)s))
        union all
        select ' inside schema ' || n.nspname, p.oid::regprocedure::text,
          coalesce(p.proacl, acldefault('f', p.proowner))
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = any(%(schemas)s)
      ) as objects, aclexplode(acl)
    ), places as (
      select ' on ' || %(sessions)s as place
      union all
      select word || name
      from unnest(%(schemas)s::text[]) as name, unnest(array[' on schema ', ' inside schema ']) as word
    ), roles as (
      select name, case when name = 'PUBLIC' then 0::oid else to_regrole(name)::oid end as id
      from unnest(%(outsiders)s::text[] || %(service_role)s::text) as name
    )
    select 'privileges of ' || roles.name || places.place,
      coalesce(string_agg(distinct coalesce(object || ' ', '') || lower(privilege_type), ', '), 'none')
    from places cross join roles
      left join grants on grants.place = places.place
        and case when roles.id = 0 or grantee = 0 then roles.id = grantee
            else pg_has_role(roles.id, grantee, 'usage') end
    where roles.name <> %(service_role)s or places.place = ' on ' || %(sessions)s
    group by roles.name, places.place
"""

# Only the effect counts: the role, PUBLIC or a role that it inherits may have the right.
_USAGE = """
    select 'usage of schema public by ' || name,
      case when has_schema_privilege(to_regrole(name), 'public', 'usage') then 'granted' else 'none' end
    from unnest(%(users_of_public)s::text[]) as name where to_regrole(name) is not null
"""

_ROLES = """
    select 'role ' || r.rolname, concat_ws(
      ', ',
      case when r.rolcanlogin then 'login' else 'no login' end,
      case when not r.rolinherit then 'no inherit' end,
      case when r.rolsuper then 'superuser' end,
      case when r.rolcreaterole then 'createrole' end,
      case when r.rolcreatedb then 'createdb' end,
      case when r.rolreplication then 'replication' end,
      case when r.rolbypassrls then 'bypassrls' end,
      'member of ' || (
        select string_agg(distinct m.roleid::regrole::text, ', ') from pg_auth_members m where m.member = r.oid
      )
    )
    from pg_roles r where r.rolname = any(%(roles)s)
"""

# A role's settings for all databases and for this database. Settings for one database override those for all.
_SETTINGS = """
    select 'settings of role ' || r.rolname, coalesce(string_agg(setting, '; ' order by setting), 'none')
    from pg_roles r
      left join pg_db_role_setting s on s.setrole = r.oid and s.setdatabase in (
        0, (select oid from pg_database where datname = current_database())
      )
      left join lateral unnest(s.setconfig) as setting on true
    where r.rolname = any(%(roles)s)
    group by r.rolname
"""

# All that is granted to one of our roles by its name, and all that it owns.
_GRANTED = """
    , granted as (
      select r.rolname, object, number, attribute, lower(privilege_type) || case
        when is_grantable then ' with grant option' else '' end as privilege
      from (
        select 'schema ' || quote_ident(nspname), 0, null::name, coalesce(nspacl, acldefault('n', nspowner))
        from pg_namespace
        union all
        select 'table ' || format('%%I.%%I', n.nspname, c.relname), 0, null,
          coalesce(c.relacl, acldefault((case c.relkind when 'S' then 's' else 'r' end)::"char", c.relowner))
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        union all
        select 'table ' || format('%%I.%%I', n.nspname, c.relname), a.attnum, a.attname, a.attacl
        from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
        where a.attacl is not null and not a.attisdropped
        union all
        select 'function ' || p.oid::regprocedure, 0, null, coalesce(p.proacl, acldefault('f', p.proowner))
        from pg_proc p
      ) as objects (object, number, attribute, acl), aclexplode(acl) join pg_roles r on r.oid = grantee
      where r.rolname = any(%(roles)s)
        -- _USAGE says who may use the schema public.
        and not (object = 'schema public' and privilege_type = 'USAGE')
    ), privileges as (
      -- Name the columns only if no grant covers the whole table.
      select rolname, object, privilege || case when bool_or(number = 0) then ''
        else ' (' || string_agg(attribute, ', ' order by number) || ')' end as privilege
      from granted group by rolname, object, privilege
    ), summary as (
      select rolname, object, string_agg(privilege, ', ' order by privilege) as privileges
      from privileges group by rolname, object
    )
"""

_GRANTS = f"""
    {_GRANTED}
    select format('privileges of %%s on %%s', rolname, object), privileges from summary
    where rolname <> 'whatsapp_engine' or not starts_with(object, 'table whatsapp_engine.whatsmeow_')
      or object = 'table ' || %(engine_version)s
"""

_ENGINE_GRANTS = f"""
    {_GRANTED}
    select 'privileges of whatsapp_engine on ' || %(engine_tables)s,
      string_agg(distinct coalesce(s.privileges, 'none'), '; ')
    from tables t left join summary s on s.object = 'table ' || t.name and s.rolname = 'whatsapp_engine'
    where starts_with(t.name, 'whatsapp_engine.whatsmeow_') and t.name <> %(engine_version)s
    having count(*) > 0
"""

QUERIES = (_PRIVILEGES, _USAGE, _ROLES, _SETTINGS, _GRANTS, _ENGINE_GRANTS)
