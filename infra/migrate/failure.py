"""Says in plain words why Postgres refused a migration, and where."""

from __future__ import annotations

import psycopg
from psycopg import errors as pg

from .errors import Busy, MigrationFailed
from .files import Migration

_WAITED_TOO_LONG = (pg.LockNotAvailable, pg.QueryCanceled, pg.DeadlockDetected)

# Their detail is the whole row that offends, with whatever secrets it holds.
_DETAIL_IS_A_ROW = (pg.CheckViolation, pg.NotNullViolation)


def explained(migration: Migration, number: int, problem: psycopg.Error) -> MigrationFailed:
    """Turn `problem` into a message with the file, the statement and Postgres' own words.

    Parameters
    ----------
    number
        The statement that failed, counted from 1; 0 when it was one of the runner's own.
    """
    place = f"statement {number} of {len(migration.statements)}" if number else "its record"
    at = _where(migration.statements[number - 1], problem.diag) if number else ""
    return refused(f"{migration.label}, {place}", problem, at=at, kept="  nothing of this file was kept")


def refused(what: str, problem: psycopg.Error, *, at: str = "", kept: str = "  nothing was kept") -> MigrationFailed:
    """Turn `problem` into a message that begins with `what` and repeats Postgres' own words."""
    diag = problem.diag
    lines = [f"{what}: {diag.message_primary or str(problem).strip()}"]
    if diag.message_detail and not isinstance(problem, _DETAIL_IS_A_ROW):
        lines.append(f"  detail: {diag.message_detail}")
    if diag.message_hint:
        lines.append(f"  hint: {diag.message_hint}")
    if at:
        lines.append(f"  at: {at}")
    lines.append(kept)
    if isinstance(problem, _WAITED_TOO_LONG):
        lines.append("  the database was busy (a long transaction, or another migration): run it again")
        return Busy("\n".join(lines))
    return MigrationFailed("\n".join(lines))


def _where(statement: str, diag: pg.Diagnostic) -> str:
    """The line Postgres points at; inside a DO block its account of that; else the statement's first line."""
    if diag.statement_position:
        position = int(diag.statement_position) - 1
        start = statement.rfind("\n", 0, position) + 1
        return statement[start:].partition("\n")[0].strip()
    if diag.context:
        return diag.context.partition("\n")[0]
    code = (line.strip() for line in statement.splitlines())
    return next((line for line in code if line and not line.startswith("--")), "")
