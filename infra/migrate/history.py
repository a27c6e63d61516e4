"""The record of applied migrations, shared with the Supabase CLI: `supabase_migrations.schema_migrations`."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from .errors import VersionTaken
from .files import Migration

# The CLI builds the table in these steps; older projects have it without the later columns.
_CREATE = """
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
    alter table supabase_migrations.schema_migrations add column if not exists statements text[];
    alter table supabase_migrations.schema_migrations add column if not exists name text;
"""
_COLUMNS = """
    select attname from pg_attribute
    where attrelid = to_regclass('supabase_migrations.schema_migrations') and attnum > 0 and not attisdropped
"""
_INSERT = "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)"

# Any number does, as long as every runner takes the same and nobody else does.
_LOCK = 0x7768617473617070  # "whatsapp"


@dataclass(frozen=True)
class Applied:
    """One recorded migration, ours or another's. Old records have no name and no statements."""

    version: str
    name: str | None
    statements: tuple[str, ...] | None


def wait_for_turn(connection: psycopg.Connection) -> None:
    """Be the only runner until the end of the transaction.

    The lock ends with the transaction, so it works behind a transaction pooler and cannot be left behind.
    """
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))


def create(connection: psycopg.Connection) -> None:
    """Create the record as the Supabase CLI does, where it or a column of it is missing.

    It looks first: even an `add column if not exists` that adds nothing waits for every reader of the table.
    """
    if not {"version", "name", "statements"} <= _columns(connection):
        connection.execute(_CREATE)


def read(connection: psycopg.Connection) -> dict[str, Applied]:
    """What is recorded, by version; empty where there is no record yet."""
    present = _columns(connection)
    if not present:
        return {}
    name = "name" if "name" in present else "null"
    statements = "statements" if "statements" in present else "null"
    rows = connection.execute(  # the names are ours, not the caller's
        f"select version, {name}, {statements} from supabase_migrations.schema_migrations order by version".encode()
    )
    return {version: Applied(version, name, None if texts is None else tuple(texts)) for version, name, texts in rows}


def add(connection: psycopg.Connection, migration: Migration) -> None:
    """Record `migration` as applied."""
    connection.execute(_INSERT, (migration.version, migration.name, list(migration.statements)))


def is_applied(migration: Migration, applied: dict[str, Applied]) -> bool:
    """Tell whether `migration` is recorded.

    Raises
    ------
    VersionTaken
        Its version is recorded under another name: two projects share the database and chose the same second.
    """
    record = applied.get(migration.version)
    if record is not None and record.name not in (None, "", migration.name):
        raise VersionTaken(
            f"{migration.label}: version {migration.version} is recorded here as '{record.name}'."
            " If that is the same migration, correct its name in supabase_migrations.schema_migrations;"
            " if not, give our file another version."
        )
    return record is not None


def _columns(connection: psycopg.Connection) -> set[str]:
    return {name for (name,) in connection.execute(_COLUMNS)}
