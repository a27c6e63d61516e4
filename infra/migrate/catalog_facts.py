"""Reads from the catalog what a database holds, as named facts to compare with `expected.json`.

Each query returns rows of a name and a value. `search_path` is empty while they run, so Postgres writes each definition
with its schema, whatever the caller has set.
"""

from __future__ import annotations

import re

import psycopg

from infra.migrate import catalog_rights
from infra.migrate.checked_objects import (
    ENGINE_TABLES,
    ENGINE_VERSION,
    OUTSIDERS,
    PRIVATE_SCHEMAS,
    ROLES,
    SERVICE_ROLE,
    SESSIONS,
    TRIGGER_FUNCTION,
    USERS_OF_PUBLIC,
)

# Postgres prints `column IN ('a', 'b')` of a VARCHAR in one way when a migration has made it, and in another way when a
# dump has. A restore uses a dump, and so does pg_upgrade. So drop the casts in which the two differ.
_CASTS = (
    (re.compile(r"\(('(?:[^']|'')*')::character varying\)::text"), r"\1"),
    (re.compile(r"('(?:[^']|'')*')::character varying"), r"\1"),
    (re.compile(r"\((ARRAY\[[^\[\]]*\])\)::text\[\]"), r"\1"),
)

# The tables to look at, and the name that each table has in the facts.
_TABLES = """
    with tables as (
      select c.oid, c.relrowsecurity, format('%%I.%%I', n.nspname, c.relname) as name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p')
        and (c.oid = to_regclass(%(sessions)s) or n.nspname = any(%(schemas)s))
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
        || case when a.attidentity = '' then '' else ' identity' end
        || case when a.attgenerated = '' then '' else ' (generated)' end
        || case when y.typtype = 'd' then ' (domain)' else '' end
        || coalesce(' (default needs ' || needs.objects || ')', '')
    from tables t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
      join pg_type y on y.oid = a.atttypid
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      left join lateral (
        -- Name the sequences and the product's functions in the default. The role that writes needs a right to them.
        select string_agg(distinct pg_describe_object(refclassid, refobjid, 0), ', ') as objects
        from pg_depend
        where classid = 'pg_attrdef'::regclass and objid = d.oid and a.attgenerated = ''
          and (refclassid = 'pg_proc'::regclass
               or refclassid = 'pg_class'::regclass
                  and exists (select from pg_class where oid = refobjid and relkind = 'S'))
      ) as needs on true
"""

# The name of a fact about a key says the key's kind and columns, because Postgres has chosen the key's own name. A fact
# about a check has the check's name. Two keys on the same columns (an old foreign key beside ours) are one fact with
# two values, so `verify` finds a difference.
_CONSTRAINTS = """
    select kind || ' of ' || table_name, string_agg(distinct definition, ' and ')
    from (
      select t.name as table_name, pg_get_constraintdef(c.oid) as definition,
        case c.contype
          when 'p' then 'primary key'
          when 'c' then 'check ' || c.conname
          when 'u' then 'unique key ' || substring(pg_get_constraintdef(c.oid) from '\\(.*?\\)')
          when 'x' then 'exclusion ' || c.conname
          when 'f' then format('foreign key %%s to %%s',
                               substring(pg_get_constraintdef(c.oid) from '\\(.*?\\)'), c.confrelid::regclass)
        end as kind
      from tables t join pg_constraint c on c.conrelid = t.oid and c.contype in ('p', 'c', 'u', 'x', 'f')
    ) as constraints
    group by kind, table_name
"""

# Indexes that belong to a key are left out, because the fact about the key says the same.
_INDEXES = """
    select 'index ' || i.relname,
      pg_get_indexdef(i.oid) || case when x.indisvalid then '' else ' (invalid)' end
    from tables t join pg_index x on x.indrelid = t.oid join pg_class i on i.oid = x.indexrelid
    where not exists (select from pg_constraint c where c.conindid = i.oid and c.contype in ('p', 'u', 'x'))
"""

_ROW_LEVEL_SECURITY = """
    select 'row level security of ' || name, case when relrowsecurity then 'enabled' else 'disabled' end
    from tables
"""

_POLICIES = """
    select format('policy "%%s" on %%s.%%s', policyname, schemaname, tablename),
      lower(permissive) || ' for ' || lower(cmd) || ' to ' || array_to_string(roles, ', ')
        || coalesce(' using ' || qual, '') || coalesce(' with check ' || with_check, '')
    from pg_policies
    where schemaname = any(%(schemas)s) or format('%%I.%%I', schemaname, tablename) = %(sessions)s
"""

# Two tables may have triggers with the same name. They are one fact, whose value holds both definitions.
_TRIGGERS = """
    select 'trigger ' || g.tgname,
      string_agg(
        pg_get_triggerdef(g.oid)
          || case g.tgenabled when 'O' then '' when 'D' then ' (disabled)' else ' (replica)' end,
        ' and ' order by t.name
      )
    from tables t join pg_trigger g on g.tgrelid = t.oid and not g.tgisinternal
    group by g.tgname
"""

# The migrations make none of these on our tables, so somebody else has added each of them.
_UNUSUAL = """
    select format('rule %%s of %%s', r.rulename, t.name), pg_get_ruledef(r.oid)
    from tables t join pg_rewrite r on r.ev_class = t.oid and r.ev_enabled <> 'D'
    union all
    select 'forced row level security of ' || t.name, 'for its owner too'
    from tables t join pg_class c on c.oid = t.oid where c.relforcerowsecurity
    union all
    select 'replica identity of ' || t.name, 'none, so a publication of its changes refuses them'
    from tables t join pg_class c on c.oid = t.oid where c.relreplident = 'n'
    union all
    select format('filter of publication %%s of %%s', p.pubname, t.name),
      concat_ws(' ', case when r.prattrs is not null then 'columns' end, 'where ' || pg_get_expr(r.prqual, r.prrelid))
    from tables t join pg_publication_rel r on r.prrelid = t.oid join pg_publication p on p.oid = r.prpubid
    where r.prattrs is not null or r.prqual is not null
    union all
    select format('parent %%s of %%s', i.inhparent::regclass, t.name),
      coalesce(pg_get_expr(c.relpartbound, c.oid), 'inherits')
    from tables t join pg_inherits i on i.inhrelid = t.oid join pg_class c on c.oid = t.oid
    union all
    select format('child %%s of %%s', i.inhrelid::regclass, t.name),
      coalesce(pg_get_expr(c.relpartbound, c.oid), 'inherits')
    from tables t join pg_inherits i on i.inhparent = t.oid join pg_class c on c.oid = i.inhrelid
"""

# A foreign key to public.whatsapp_sessions may keep a row, and so its user, from being deleted.
_REFERENCES = """
    select format('reference from %%s of %%s', c.conrelid::regclass, t.name),
      string_agg(pg_get_constraintdef(c.oid), ' and ' order by 1)
    from tables t join pg_constraint c on c.confrelid = t.oid and c.contype = 'f' and c.conrelid <> t.oid
    where t.oid = to_regclass(%(sessions)s)
    group by c.conrelid, t.name
"""

# A product may have written our trigger function itself, so its case and its spaces do not count. Its body is short, so
# its fact holds the body. The facts about other functions hold a checksum.
_FUNCTIONS = """
    , functions as (
      select p.*, p.oid::regprocedure::text as name from pg_proc p
      where p.oid = to_regprocedure(%(function)s) or p.pronamespace = to_regnamespace('whatsapp_private')
    )
    select 'function ' || name,
      format('%%s%%s in %%s, security %%s', case when f.proretset then 'setof ' end, f.prorettype::regtype, l.lanname,
             case when f.prosecdef then 'definer' else 'invoker' end)
        || coalesce(', ' || array_to_string(f.proconfig, ', '), '')
        || case when f.proowner = to_regrole('whatsapp_functions') then ', owned by whatsapp_functions' else '' end
    from functions f join pg_language l on l.oid = f.prolang
    union all
    select 'body of function ' || name, case
      when oid = to_regprocedure(%(function)s) then btrim(regexp_replace(lower(prosrc), '\\s+', ' ', 'g'))
      else 'sha256 ' || encode(sha256(convert_to(coalesce(pg_get_function_sqlbody(oid), prosrc), 'UTF8')), 'hex')
    end
    from functions
"""

# A publication sends the rows of its tables to its subscribers.
_PUBLICATIONS = """
    select format('publication %%s of schema %%s', pubname, schemaname), string_agg(tablename, ', ' order by tablename)
    from pg_publication_tables where schemaname = any(%(schemas)s)
    group by pubname, schemaname
"""

_QUERIES = (
    _PRESENT,
    _COLUMNS,
    _CONSTRAINTS,
    _INDEXES,
    _ROW_LEVEL_SECURITY,
    _POLICIES,
    _TRIGGERS,
    _UNUSUAL,
    _REFERENCES,
    _FUNCTIONS,
    _PUBLICATIONS,
    *catalog_rights.QUERIES,
)


def read_facts(connection: psycopg.Connection) -> dict[str, str]:
    """Read each fact about our objects, by its name. All facts are of one moment."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        connection.execute("select set_config('statement_timeout', '30s', true)")
        return collect_facts(connection)


def collect_facts(connection: psycopg.Connection) -> dict[str, str]:
    """Read the facts in the caller's transaction. Its `search_path` is empty from then on."""
    parameters = {
        "sessions": SESSIONS,
        "function": TRIGGER_FUNCTION,
        "schemas": list(PRIVATE_SCHEMAS),
        "roles": list(ROLES),
        "engine_version": ENGINE_VERSION,
        "engine_tables": ENGINE_TABLES,
        "outsiders": list(OUTSIDERS),
        "service_role": SERVICE_ROLE,
        "users_of_public": list(USERS_OF_PUBLIC),
    }
    connection.execute("select set_config('search_path', '', true)")
    facts: dict[str, str] = {}
    for query in _QUERIES:
        rows = connection.execute((_TABLES + query).encode(), parameters).fetchall()
        facts.update((name, _without_casts(value)) for name, value in rows)
    return facts


def _without_casts(value: str) -> str:
    for pattern, plain in _CASTS:
        value = pattern.sub(plain, value)
    return value
