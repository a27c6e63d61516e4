"""Applies each numbered migration once, in one transaction together with its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from infra.migrate import history, release, supabase_history
from infra.migrate.adoption import Found, settle
from infra.migrate.files import Migration
from infra.migrate.one_at_a_time import take_turn
from infra.migrate.run_file import execute, explained


@dataclass(frozen=True)
class Applied:
    """The versions that were applied, and those that were only recorded."""

    versions: list[str]
    found: Found


def apply(connection: psycopg.Connection, migrations: Sequence[Migration], *, supabase: bool) -> Applied:
    """Apply the pending migrations, oldest first.

    Parameters
    ----------
    supabase
        Also record them in the Supabase CLI's history. A database to which the CLI has applied a bundle keeps these
        records in any case.
    """
    supabase = supabase or supabase_history.has_bundle(connection)
    found = _settle(connection, migrations, supabase=supabase)
    records = history.read(connection)
    pending = [migration for migration in migrations if not history.is_applied(migration, records)]
    return Applied([it.version for it in pending if _apply(connection, it, supabase=supabase)], found)


def _settle(connection: psycopg.Connection, migrations: Sequence[Migration], *, supabase: bool) -> Found:
    try:
        with connection.transaction():
            take_turn(connection)
            found = settle(connection, migrations, supabase=supabase)
            release.record(connection)
            return found
    except psycopg.Error as problem:
        raise explained("the record of migrations", problem, kept="nothing was kept") from problem


def _apply(connection: psycopg.Connection, migration: Migration, *, supabase: bool = False) -> bool:
    """Apply `migration`, unless another process has just done so. Return whether this call has applied it."""
    try:
        with connection.transaction():
            take_turn(connection)
            if history.is_applied(migration, history.read(connection)):
                return False
            execute(connection, migration.text)
            history.add(connection, migration, migration.checksum)
            if supabase:
                supabase_history.add(connection, migration)
        return True
    except psycopg.Error as problem:
        raise explained(migration.label, problem, text=migration.text) from problem
