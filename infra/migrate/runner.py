"""Applies migrations: each file in one transaction together with its record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from . import history
from .connection import connected, limit_waits, readable, require_supabase
from .failure import explained
from .files import MIGRATIONS, Migration, read_migrations

# Waiting for another runner holds nobody up. Waiting for a lock on a table in use does: everybody queues
# behind us.
TURN_SECONDS = 60
_LOCK_SECONDS = 5
_STATEMENT_SECONDS = 60


@dataclass(frozen=True)
class Status:
    """Where a database stands: files applied, files to come, and records of other projects."""

    applied: list[str]
    pending: list[str]
    not_ours: list[str]
    changed: list[str]
    """Applied, but recorded with other statements than the file has now."""


def up(database_url: str, directory: Path = MIGRATIONS) -> list[str]:
    """Apply every pending migration of `directory`, oldest first, and return the versions applied now.

    Safe from two places at once, and again after a failure: a file is applied as a whole or not at all.

    Raises
    ------
    MigrateError
        See `infra.migrate.errors`; its text says what to do.
    """
    migrations = read_migrations(directory)
    with connected(readable(database_url)) as connection:
        require_supabase(connection)
        applied = history.read(connection)
        pending = [migration for migration in migrations if not history.is_applied(migration, applied)]
        return [migration.version for migration in pending if _apply(connection, migration)]


def status(database_url: str, directory: Path = MIGRATIONS) -> Status:
    """Compare the files of `directory` with what the database has recorded."""
    migrations = read_migrations(directory)
    with connected(readable(database_url)) as connection:
        records = history.read(connection)
    applied = [migration for migration in migrations if history.is_applied(migration, records)]
    ours = {migration.version for migration in migrations}
    return Status(
        applied=_labels(applied),
        pending=_labels(migration for migration in migrations if migration not in applied),
        not_ours=[f"{it.version}_{it.name or '?'}" for it in records.values() if it.version not in ours],
        changed=_labels(it for it in applied if records[it.version].statements not in (None, it.statements)),
    )


def _labels(migrations: Iterable[Migration]) -> list[str]:
    return [migration.label for migration in migrations]


def _apply(connection: psycopg.Connection, migration: Migration) -> bool:
    """Apply `migration` unless another runner just did; tell whether this one did."""
    try:
        with connection.transaction():
            limit_waits(connection, lock=TURN_SECONDS, statement=TURN_SECONDS)
            history.wait_for_turn(connection)
            limit_waits(connection, lock=_LOCK_SECONDS, statement=_STATEMENT_SECONDS)
            history.create(connection)
            if history.is_applied(migration, history.read(connection)):
                return False
            _execute(connection, migration)
            history.add(connection, migration)
        return True
    except psycopg.Error as problem:
        raise explained(migration, 0, problem) from problem


def _execute(connection: psycopg.Connection, migration: Migration) -> None:
    for number, statement in enumerate(migration.statements, 1):
        try:
            connection.execute(statement.encode())
        except psycopg.Error as problem:
            raise explained(migration, number, problem) from problem
