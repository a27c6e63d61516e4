"""Runs a file as one query, and explains an error of Postgres in plain words, with the line where it happened."""

from __future__ import annotations

import psycopg
from psycopg import errors as pg
from psycopg.pq import TransactionStatus

from infra.migrate.errors import Busy, MigrationFailed

_WAITED_TOO_LONG = (pg.LockNotAvailable, pg.QueryCanceled, pg.DeadlockDetected)

# The detail of these errors is a whole row, with the secrets in it. So no message repeats it.
_DETAIL_IS_A_ROW = (pg.CheckViolation, pg.NotNullViolation)

# The function of plpgsql that reports a command which EXECUTE cannot run.
_EXECUTE = "exec_stmt_dynexecute"


def execute(connection: psycopg.Connection, text: str) -> None:
    """Run the statements of `text` as one query, in the caller's transaction.

    plpgsql's EXECUTE runs the text. It accepts no command that begins or ends a transaction, so a file is applied as a
    whole or not at all. A file with a COMMIT that was sent as it is would be half applied after a later error.

    A setting of the transaction carries the text. If the text stood in the DO command, Postgres would count some of an
    error's positions from the beginning of that command.
    """
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise RuntimeError("the caller must open a transaction before it runs a file")
    connection.execute("select set_config('whatsapp_migrations.file', %s, true)", (text,))
    connection.execute("do $$ begin execute current_setting('whatsapp_migrations.file'); end $$")


def explained(
    what: str, problem: psycopg.Error, *, text: str = "", kept: str = "nothing of this file was kept"
) -> MigrationFailed:
    """Return an error whose message begins with `what` and repeats the words of Postgres.

    Parameters
    ----------
    text
        The text of the file that was running. The message names its line.
    kept
        What Postgres has kept of the changes. The message ends with it.
    """
    diag = problem.diag
    lines = [f"{what}: {diag.message_primary or str(problem).strip()}"]
    if diag.message_detail and not isinstance(problem, _DETAIL_IS_A_ROW):
        lines.append(f"  detail: {diag.message_detail}")
    if diag.message_hint:
        lines.append(f"  hint: {diag.message_hint}")
    if isinstance(problem, pg.FeatureNotSupported) and diag.source_function == _EXECUTE:
        lines.append("  hint: each file runs in one transaction, so it must not hold BEGIN, COMMIT, ROLLBACK,")
        lines.append("  SAVEPOINT or COPY … FROM STDIN")
    if text and (where := _where(text, diag)):
        lines.append(f"  at: {where}")
    lines.append(f"  {kept}")
    if isinstance(problem, _WAITED_TOO_LONG):
        lines.append("  the database was busy (a long transaction, or another migration): run it again")
        return Busy("\n".join(lines))
    return MigrationFailed("\n".join(lines))


def _where(text: str, diag: pg.Diagnostic) -> str:
    """Return the line of the error, or the first line of the context that Postgres reports."""
    inner = diag.internal_query or ""
    # `inner` is the whole file, the body of a function, or a statement in the file.
    if diag.internal_position and text.count(inner) == 1:
        position = text.index(inner) + int(diag.internal_position) - 1
        number = text.count("\n", 0, position) + 1
        line = text.split("\n")[number - 1]
        return f"line {number}: {line.strip()}"
    # The context begins with the innermost code. It ends with the whole file, which the message leaves out.
    nested = (diag.context or "").partition(text)[0].splitlines()[:-1]
    return nested[0] if nested else ""
