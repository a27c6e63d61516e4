"""The Supabase CLI's record, `supabase_migrations.schema_migrations`, which belongs to the product.

`supabase db push` refuses to work while the record names a migration that the product's own folder lacks. So ours do
not stand there, unless the product copies our files into its folder and asks for it (`up --supabase-history`).
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from infra.migrate.errors import VersionTaken
from infra.migrate.files import Migration

RECORD = "whatsapp_record"
"""The name of a bundle's last file. A product that has pushed it keeps our files in its folder."""

# The CLI builds the table in these steps; older projects have it without the later columns.
_CREATE = """
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
    alter table supabase_migrations.schema_migrations add column if not exists statements text[];
    alter table supabase_migrations.schema_migrations add column if not exists name text;
"""
# Not to_regclass: it fails where a product keeps the schema from the role that migrates.
_COLUMNS = """
    select a.attname
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'supabase_migrations' and c.relname = 'schema_migrations' and a.attnum > 0
      and not a.attisdropped and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
"""
_OURS = """
    select r.version
    from supabase_migrations.schema_migrations r
      join unnest(%s::text[], %s::text[]) as ours (version, name) on r.version = ours.version and r.name = ours.name
"""
_BUNDLE = "select exists (select from supabase_migrations.schema_migrations where name = %s)"
_DELETE = "delete from supabase_migrations.schema_migrations where version = any(%s)"
_INSERT = """
    insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, array[%s])
    on conflict (version) do nothing
"""
_OTHERS = """
    select r.version, r.name
    from supabase_migrations.schema_migrations r
      join unnest(%s::text[], %s::text[]) as ours (version, name) on r.version = ours.version and r.name <> ours.name
    order by 1 limit 1
"""


def ours(connection: psycopg.Connection, migrations: Sequence[Migration]) -> set[str]:
    """Return the versions that are recorded there under our versions and our names."""
    if not {"version", "name"} <= _columns(connection):
        return set()
    return {version for (version,) in connection.execute(_OURS, _names(migrations))}


def has_bundle(connection: psycopg.Connection) -> bool:
    """Tell whether the product has pushed a bundle (`infra.migrate bundle`), so that its folder holds our files."""
    return "name" in _columns(connection) and connection.execute(_BUNDLE, (RECORD,)).fetchone() == (True,)


def remove(connection: psycopg.Connection, versions: set[str]) -> None:
    """Remove records that `ours` has found."""
    connection.execute(_DELETE, (list(versions),))


def create(connection: psycopg.Connection, migrations: Sequence[Migration]) -> None:
    """Create the record as the Supabase CLI does, where it or a column of it is missing.

    It looks first: even an `add column if not exists` that adds nothing waits for every reader of the table.

    Raises
    ------
    VersionTaken
        The product has recorded a migration of its own under the version of one of ours.
    """
    if not {"version", "name", "statements"} <= _columns(connection):
        connection.execute(_CREATE)
    taken = connection.execute(_OTHERS, _names(migrations)).fetchone()
    if taken is not None:
        raise VersionTaken(
            f"version {taken[0]} is recorded in supabase_migrations.schema_migrations as '{taken[1]}', which is not"
            " ours. Give that migration another version, or run `up` without --supabase-history."
        )


def add(connection: psycopg.Connection, migration: Migration) -> None:
    """Record `migration` there, its whole file as one statement."""
    connection.execute(_INSERT, (migration.version, migration.name, migration.text))


def _names(migrations: Sequence[Migration]) -> tuple[list[str], list[str]]:
    return [migration.version for migration in migrations], [migration.name for migration in migrations]


def _columns(connection: psycopg.Connection) -> set[str]:
    return {name for (name,) in connection.execute(_COLUMNS)}
