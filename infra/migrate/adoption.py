"""Completes our record before `up`: it takes old records over, and adopts a database without a record.

A database has no record when it was restored from a dump, which leaves the record out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from infra.migrate import history, supabase_history
from infra.migrate.errors import HistoryLost
from infra.migrate.files import MIGRATIONS, Migration
from infra.migrate.verification import ABSENT, read_findings

_HOLDS_OURS = "select to_regclass('whatsapp_private.attempts') is not null"


@dataclass(frozen=True)
class Found:
    """Versions that were recorded now, although nothing was applied now."""

    taken_over: list[str]
    """Migrations that the Supabase CLI's history has recorded until now."""
    adopted: list[str]
    """Migrations that had no record, in a database that holds all that they make."""


def settle(connection: psycopg.Connection, migrations: Sequence[Migration], *, supabase: bool) -> Found:
    """Make our record complete, within the caller's transaction.

    Parameters
    ----------
    supabase
        Whether the Supabase CLI's history keeps our records, and missing ones are added. If not, ours are removed.

    Raises
    ------
    HistoryLost
        The database has no record, and it does not equal what the migrations make.
    """
    history.create(connection)
    taken_over = _take_over(connection, migrations, keep=supabase)
    adopted = [] if history.read(connection) else _adopt(connection, migrations)
    if supabase:
        supabase_history.create(connection, migrations)
        records = history.read(connection)
        for migration in migrations:
            if history.is_applied(migration, records):
                supabase_history.add(connection, migration)
    return Found(taken_over, adopted)


def _take_over(connection: psycopg.Connection, migrations: Sequence[Migration], *, keep: bool) -> list[str]:
    theirs, known = supabase_history.ours(connection, migrations), history.read(connection)
    taken = [it for it in migrations if it.version in theirs and not history.is_applied(it, known)]
    for migration in taken:
        history.add(connection, migration, None)
    if theirs and not keep:
        supabase_history.remove(connection, theirs)
    return [migration.version for migration in taken]


def _adopt(connection: psycopg.Connection, migrations: Sequence[Migration]) -> list[str]:
    ours = all(migration.path.parent == MIGRATIONS for migration in migrations)
    if not ours or connection.execute(_HOLDS_OURS).fetchone() != (True,):
        return []
    # Leave out whatsmeow's tables, because `up` makes them later. Leave out what the product has added, because then
    # nothing is missing.
    findings = [
        finding
        for finding in read_findings(connection)
        if "whatsmeow" not in finding.what and finding.kind != "beyond" and finding.wanted != ABSENT
    ]
    if findings:
        raise HistoryLost(
            "this database holds the tables of whatsapp-pairing, but no record of its migrations (a dump leaves the"
            " record out). `up` cannot adopt it, because it differs from what this release makes. The first of"
            f" {len(findings)} findings: {findings[0]}. Repair what `verify` lists, or run `up` of the release that"
            " made the database."
        )
    for migration in migrations:
        history.add(connection, migration, None)
    return [migration.version for migration in migrations]
