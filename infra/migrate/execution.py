"""Runs a file as one query, and says in plain words why Postgres refused it, and where."""

from __future__ import annotations

import psycopg
from psycopg import errors as pg
from psycopg.pq import TransactionStatus

from infra.migrate.errors import Busy, MigrationFailed

_WAITED_TOO_LONG = (pg.LockNotAvailable, pg.QueryCanceled, pg.DeadlockDetected)

# The detail of these errors is the whole row that offends, with the secrets in it.
_DETAIL_IS_A_ROW = (pg.CheckViolation, pg.NotNullViolation)

# Where plpgsql refuses a command that EXECUTE cannot run.
_EXECUTE = "exec_stmt_dynexecute"


def execute(connection: psycopg.Connection, text: str) -> None:
    """Run the statements of `text` as one query, in the caller's transaction.

    plpgsql's EXECUTE runs them. It refuses a command that begins or ends a transaction, and the refusal takes back
    what came before. Sent as it is, a file with a COMMIT would be half applied after a later failure. A setting of the
    transaction carries the text: written into the DO command, it would make Postgres count some positions from there.
    """
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise RuntimeError("a file runs in a transaction of its caller")
    connection.execute("select set_config('whatsapp_migrations.file', %s, true)", (text,))
    connection.execute("do $$ begin execute current_setting('whatsapp_migrations.file'); end $$")


def refused(
    what: str, problem: psycopg.Error, *, text: str = "", kept: str = "nothing of this file was kept"
) -> MigrationFailed:
    """Turn `problem` into a message that begins with `what` and repeats Postgres' own words.

    Parameters
    ----------
    text
        The file that was running, to find the line.
    kept
        What the failure leaves.
    """
    diag = problem.diag
    lines = [f"{what}: {diag.message_primary or str(problem).strip()}"]
    if diag.message_detail and not isinstance(problem, _DETAIL_IS_A_ROW):
        lines.append(f"  detail: {diag.message_detail}")
    if diag.message_hint:
        lines.append(f"  hint: {diag.message_hint}")
    if isinstance(problem, pg.FeatureNotSupported) and diag.source_function == _EXECUTE:
        lines.append("  hint: each file runs in one transaction, so BEGIN, COMMIT, ROLLBACK, SAVEPOINT and COPY … FROM")
        lines.append("  STDIN do not belong in it")
    if text and (where := _where(text, diag)):
        lines.append(f"  at: {where}")
    lines.append(f"  {kept}")
    if isinstance(problem, _WAITED_TOO_LONG):
        lines.append("  the database was busy (a long transaction, or another migration): run it again")
        return Busy("\n".join(lines))
    return MigrationFailed("\n".join(lines))


def _where(text: str, diag: pg.Diagnostic) -> str:
    """Return the line that Postgres points at, or the first line of its account of nested code."""
    inner = diag.internal_query or ""
    if diag.internal_position and text.count(inner) == 1:  # the whole file, a function's body, a statement in it
        position = text.index(inner) + int(diag.internal_position) - 1
        number = text.count("\n", 0, position) + 1
        line = text.split("\n")[number - 1]
        return f"line {number}: {line.strip()}"
    # The account begins with the innermost code and ends with the file itself, which is not worth repeating.
    nested = (diag.context or "").partition(text)[0].splitlines()[:-1]
    return nested[0] if nested else ""
