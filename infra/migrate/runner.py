"""Applies migrations: each file in one transaction together with its record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from . import history
from . import supabase_history as records_of_supabase
from .adoption import Found, settle
from .connection import connected, limit_waits, readable, require_supabase
from .execution import execute, refused
from .files import MIGRATIONS, Migration, read_migrations

# Waiting for another runner holds nobody up. Waiting for a lock on a table in use does: everybody queues
# behind us.
TURN_SECONDS = 60
_LOCK_SECONDS = 5
_STATEMENT_SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """What `up` did, by version."""

    applied: list[str]
    taken_over: list[str]
    """Recorded in the Supabase CLI's history until now."""
    adopted: list[str]
    """Without any record until now; the database held all that they make."""


@dataclass(frozen=True)
class Status:
    """Where a database stands: files applied, files to come, and records without a file."""

    applied: list[str]
    pending: list[str]
    not_here: list[str]
    """Recorded, but no file of the directory: of a newer release, or of another directory."""
    changed: list[str]
    """Applied, but with another text than the file has now."""


def up(database_url: str, directory: Path = MIGRATIONS, *, supabase_history: bool = False) -> Outcome:
    """Apply every pending migration of `directory`, oldest first.

    Safe from two places at once, and again after a failure: a file is applied as a whole or not at all.

    Parameters
    ----------
    supabase_history
        Record the migrations in the Supabase CLI's history too, for a product that copies the files into its own
        `supabase/migrations`.

    Raises
    ------
    MigrateError
        See `infra.migrate.errors`; its text says what to do.
    """
    migrations = read_migrations(directory)
    with connected(readable(database_url)) as connection:
        require_supabase(connection)
        found = _settle(connection, migrations, supabase=supabase_history)
        records = history.read(connection)
        pending = [migration for migration in migrations if not history.is_applied(migration, records)]
        applied = [it.version for it in pending if _apply(connection, it, supabase=supabase_history)]
        return Outcome(applied, found.taken_over, found.adopted)


def status(database_url: str, directory: Path = MIGRATIONS) -> Status:
    """Compare the files of `directory` with what the database has recorded."""
    migrations = read_migrations(directory)
    with connected(readable(database_url)) as connection:
        records = history.read(connection)
        to_take_over = records_of_supabase.ours(connection, migrations)
    applied = [it for it in migrations if history.is_applied(it, records) or it.version in to_take_over]
    ours = {migration.version for migration in migrations}
    checksums = {record.version: record.checksum for record in records.values()}
    return Status(
        applied=_labels(applied),
        pending=_labels(migration for migration in migrations if migration not in applied),
        not_here=[f"{it.version}_{it.name}" for it in records.values() if it.version not in ours],
        changed=_labels(it for it in applied if checksums.get(it.version) not in (None, it.checksum)),
    )


def _labels(migrations: Iterable[Migration]) -> list[str]:
    return [migration.label for migration in migrations]


def _settle(connection: psycopg.Connection, migrations: Sequence[Migration], *, supabase: bool) -> Found:
    try:
        with connection.transaction():
            _take_turn(connection)
            return settle(connection, migrations, supabase=supabase)
    except psycopg.Error as problem:
        raise refused("the record of migrations", problem, kept="nothing was kept") from problem


def _apply(connection: psycopg.Connection, migration: Migration, *, supabase: bool = False) -> bool:
    """Apply `migration` unless another runner just did; tell whether this one did."""
    try:
        with connection.transaction():
            _take_turn(connection)
            if history.is_applied(migration, history.read(connection)):
                return False
            execute(connection, migration.text)
            history.add(connection, migration, migration.checksum)
            if supabase:
                records_of_supabase.add(connection, migration)
        return True
    except psycopg.Error as problem:
        raise refused(migration.label, problem, text=migration.text) from problem


def _take_turn(connection: psycopg.Connection) -> None:
    limit_waits(connection, lock=TURN_SECONDS, statement=TURN_SECONDS)
    history.wait_for_turn(connection)
    limit_waits(connection, lock=_LOCK_SECONDS, statement=_STATEMENT_SECONDS)
