"""Reads from the catalog what a database holds, as named facts to compare with `expected.py`.

Every query answers with (name, value) rows. `search_path` is empty while they run, so Postgres writes every
definition with its schema, whatever the caller's settings.
"""

from __future__ import annotations

import psycopg

from .expected import OUTSIDERS, POLICIES, PRIVATE_SCHEMAS, SESSIONS, TRIGGER_FUNCTION

# The tables we look at, with the name that facts about them carry.
_TABLES = """
    with tables as (
      select c.oid, c.relrowsecurity, format('%%I.%%I', n.nspname, c.relname) as name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p')
        and (c.oid = to_regclass(%(sessions)s) or n.nspname in ('whatsapp_private', 'whatsapp_engine'))
    )
"""

_PRESENT = """
    select 'table ' || name, 'present' from tables
    union all select 'schema ' || nspname, 'present' from pg_namespace where nspname = any(%(schemas)s)
"""

_COLUMNS = """
    select format('column %%s.%%s', t.name, a.attname),
      format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end
        || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
    from tables t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
"""

# By what they say, not by their names, which Postgres chose; a check by its name. Two keys over the same
# columns (an old foreign key beside ours) are one fact with two values, and so a difference.
_CONSTRAINTS = """
    select kind || ' of ' || table_name, string_agg(distinct definition, ' and ')
    from (
      select t.name as table_name, pg_get_constraintdef(c.oid) as definition,
        case c.contype
          when 'p' then 'primary key'
          when 'c' then 'check ' || c.conname
          when 'u' then 'unique key ' || substring(pg_get_constraintdef(c.oid) from '\\(.*?\\)')
          when 'f' then format('foreign key %%s to %%s',
                               substring(pg_get_constraintdef(c.oid) from '\\(.*?\\)'), c.confrelid::regclass)
        end as kind
      from tables t join pg_constraint c on c.conrelid = t.oid and c.contype in ('p', 'c', 'u', 'f')
    ) as constraints
    group by kind, table_name
"""

_INDEXES = """
    select 'index ' || i.relname,
      pg_get_indexdef(i.oid) || case when x.indisvalid then '' else ' (invalid)' end
    from tables t join pg_index x on x.indrelid = t.oid join pg_class i on i.oid = x.indexrelid
"""

_ROW_LEVEL_SECURITY = """
    select 'row level security of ' || name, case when relrowsecurity then 'enabled' else 'disabled' end
    from tables
"""

# Ours, and any other that would show or change rows for whoever comes through the API.
_POLICIES = """
    select format('policy "%%s" on %%s.%%s', policyname, schemaname, tablename),
      lower(permissive) || ' for ' || lower(cmd) || ' to ' || array_to_string(roles, ', ')
        || coalesce(' using ' || qual, '') || coalesce(' with check ' || with_check, '')
    from pg_policies
    where format('%%I.%%I', schemaname, tablename) = %(sessions)s
      and (policyname = any(%(policies)s)
           or (permissive = 'PERMISSIVE' and roles && '{public,anon,authenticated}'::name[]))
"""

_TRIGGERS = """
    select 'trigger ' || g.tgname,
      pg_get_triggerdef(g.oid)
        || case g.tgenabled when 'O' then '' when 'D' then ' (disabled)' else ' (replica)' end
    from tables t join pg_trigger g on g.tgrelid = t.oid and not g.tgisinternal
"""

_FUNCTION = """
    select 'function ' || %(function)s,
      format('%%s in %%s, security %%s', p.prorettype::regtype, l.lanname,
             case when p.prosecdef then 'definer' else 'invoker' end)
        || coalesce(', ' || array_to_string(p.proconfig, ', '), '')
    from pg_proc p join pg_language l on l.oid = p.prolang
    where p.oid = to_regprocedure(%(function)s)
    union all
    select 'body of function ' || %(function)s, btrim(regexp_replace(lower(prosrc), '\\s+', ' ', 'g'))
    from pg_proc where oid = to_regprocedure(%(function)s)
"""

# What a role may do by its own grants and by those of roles it inherits; PUBLIC's grants count for PUBLIC
# only, so that one grant is one finding. No grants at all means Postgres' defaults: every new function is
# open to PUBLIC.
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
      from unnest(%(outsiders)s::text[]) as name
    )
    select 'privileges of ' || roles.name || places.place,
      coalesce(string_agg(distinct coalesce(object || ' ', '') || lower(privilege_type), ', '), 'none')
    from places cross join roles
      left join grants on grants.place = places.place
        and case when roles.id = 0 or grantee = 0 then roles.id = grantee
            else pg_has_role(roles.id, grantee, 'usage') end
    group by roles.name, places.place
"""

_QUERIES = (
    _PRESENT,
    _COLUMNS,
    _CONSTRAINTS,
    _INDEXES,
    _ROW_LEVEL_SECURITY,
    _POLICIES,
    _TRIGGERS,
    _FUNCTION,
    _PRIVILEGES,
)


def read_facts(connection: psycopg.Connection) -> dict[str, str]:
    """Read every fact about our objects, by name, in one consistent look at the catalog."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        connection.execute("select set_config('statement_timeout', '30s', true)")
        return collect_facts(connection)


def collect_facts(connection: psycopg.Connection) -> dict[str, str]:
    """Read the facts within the caller's transaction, which also gets an empty `search_path`."""
    parameters = {
        "sessions": SESSIONS,
        "function": TRIGGER_FUNCTION,
        "schemas": list(PRIVATE_SCHEMAS),
        "policies": list(POLICIES),
        "outsiders": list(OUTSIDERS),
    }
    connection.execute("select set_config('search_path', '', true)")
    facts: dict[str, str] = {}
    for query in _QUERIES:
        facts.update(connection.execute((_TABLES + query).encode(), parameters).fetchall())
    return facts
