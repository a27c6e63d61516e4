"""A Postgres connection that survives warm invocations and dropped sockets."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen, PQGenConn
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from whatsapp_pairing.core.backoff import Backoff
from whatsapp_pairing.core.errors import MisconfiguredError, StoreBusy, StoreRefused, StoreUnavailable
from whatsapp_pairing.runtime import limits
from whatsapp_pairing.runtime.database_url import UNREADABLE, normalised
from whatsapp_pairing.runtime.dialing import dial, is_full

Row = dict[str, Any]
T = TypeVar("T")

# If nothing arrives within this time, either Postgres is frozen or the pooler has no free connection. statement_timeout
# helps in neither case, because the server sends it.
_SILENT_SECONDS = 5.0
# For all tries of a call together, so that the function answers before its own Timeout.
_PATIENCE_SECONDS = 8.0
# For the second try of a function that was frozen for longer than its patience.
_AGAIN_SECONDS = 3.0
# The same for a session row, whose write nothing waits for.
_BRIEF_SECONDS = 2.0
# Codes of a statement that has waited for a lock, or run, for as long as it may. The connection is as good as before.
_TOOK_TOO_LONG = ("55P03", "57014")
_DEADLOCK = "40P01"
# Pauses between two tries for a connection while too many are in use. A call of ours needs one for some milliseconds.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _JITTER = 0.1, 1.0, 0.5


class Connection(psycopg.Connection[Row]):
    """A connection that no caller waits for without end.

    Attributes
    ----------
    given_up_at : float
        When the caller gives up waiting, by the monotonic clock.
    """

    given_up_at = math.inf

    def execute(self, query: Any, params: Any = None, **named: Any) -> psycopg.Cursor[Row]:
        """Execute as psycopg does; within ``limits.brief_locks``, limit how long the statement waits for a lock.

        The limit and the statement are sent as one text, so they run in one transaction. A pooler would lose a setting
        that was made before.
        """
        milliseconds = limits.lock_milliseconds()
        if milliseconds is None or self.pgconn.transaction_status != TransactionStatus.IDLE:
            return super().execute(query, params, **named)
        cursor = psycopg.ClientCursor(self, row_factory=dict_row)
        cursor.execute(f"SELECT set_config('lock_timeout', '{milliseconds}ms', true); {query}".encode(), params)
        cursor.nextset()
        return cursor

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> PQGenConn["Connection"]:
        """Connect as psycopg does, but raise TooManyConnections for a server that is full (``dialing.dial``)."""
        return cls((yield from dial(conninfo)))

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait as psycopg does, but not without end. Close a silent connection, so that no later call waits for it."""
        patience = max(0.01, min(_SILENT_SECONDS, self.given_up_at - time.monotonic()))
        try:
            return super().wait(gen, interval, timeout or patience)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()
            raise


class Database:
    """One connection, opened on first use, opened anew after the network or the pooler dropped it.

    Parameters
    ----------
    url : callable
        Gives the URL, in any form that ``database_url`` knows. Called for every new connection, so that a rotated
        password is picked up.

    Notes
    -----
    Fit for a transaction pooler: no prepared statements, no session state, schema-qualified names, and one question at
    a time. Supabase's pooler takes a connection away at the first answer, so a second question that was sent before it
    may be lost or get another client's answer.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which is one statement and so one transaction and one exchange, and return what it returns.

        A connection may have died between two invocations, or dies before the answer has come. Then the work is tried
        once more on a fresh connection. The first try may have been committed, so every statement of ours may be
        repeated. While the server refuses a connection because too many are in use, the call tries again until its time
        is up. Time limits of statements are settings of the role (migrations/20250115000000_role_settings.sql), and a
        statement that has reached one is not tried again.

        Raises
        ------
        StoreBusy
            The statement waited for a lock or ran for too long, or Postgres twice ended it to resolve a deadlock.
        StoreUnavailable
            Postgres cannot be reached or ended the connection again, or no time is left (``limits.answers_in_time``).
        StoreRefused
            Postgres refuses the statement. Work that expects a refusal catches the driver's own error.
        """
        return self._run(work)

    def run_text(self, text: str, parameters: Mapping[str, object]) -> Row | None:
        """Run several statements, which begin and end a transaction of their own, in one exchange with the server.

        Wait for two seconds at most: the text is a side task, and the caller goes on without it.

        Returns
        -------
        Row or None
            The last statement's.

        Raises
        ------
        StoreRefused
            Postgres refuses a statement, or a statement reaches a time limit that the text sets. Postgres keeps nothing
            of the transaction, and the connection stays open.
        StoreUnavailable
            Postgres cannot be reached or ended the connection again.
        """

        def work(connection: Connection) -> Row | None:
            cursor = psycopg.ClientCursor(connection, row_factory=dict_row)
            try:
                cursor.execute(text.encode(), parameters)
                while cursor.nextset():
                    pass
                return cursor.fetchone()
            except psycopg.Error as error:
                if connection.closed:
                    raise
                connection.execute("ROLLBACK")
                raise StoreRefused(about(error), error.sqlstate) from None

        return self._run(work, _BRIEF_SECONDS)

    def _run(self, work: Callable[[Connection], T], patience: float | None = None) -> T:
        left = min(patience or _PATIENCE_SECONDS, limits.seconds_left())
        if left <= 0:
            raise StoreUnavailable(detail="no time is left to ask Postgres")
        given_up_at = time.monotonic() + left
        pauses = Backoff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _JITTER)
        lost = 0
        while True:
            try:
                return self._run_once(work, given_up_at)
            except psycopg.Error as error:
                if not _away(error):
                    raise StoreRefused(about(error), error.sqlstate) from None
                if error.sqlstate in _TOOK_TOO_LONG:
                    raise StoreBusy(detail=about(error)) from None
                lost += self._connection is not None
                again_at_once = self._connection is not None and lost == 1
                self.close()
                pause = pauses.next() if _full(error) else 0.0
                if not again_at_once and not (pause and time.monotonic() + pause < given_up_at):
                    lasting = StoreBusy if error.sqlstate == _DEADLOCK else StoreUnavailable
                    raise lasting(detail=about(error)) from None
            now = time.monotonic()
            if again_at_once and now >= given_up_at:
                # The function was frozen, and finds its patience over. Its first try may have been committed, so the
                # second gets time of its own to find the answer.
                given_up_at = now + min(_AGAIN_SECONDS, limits.seconds_left())
            time.sleep(pause)

    def _run_once(self, work: Callable[[Connection], T], given_up_at: float) -> T:
        connection = self._connection or self._connect(given_up_at - time.monotonic())
        connection.given_up_at = given_up_at
        return work(connection)

    def _connect(self, most: float) -> Connection:
        url = normalised(self._url())
        try:
            # The timeout is for each address of the host, and not for the look-up of its name.
            self._connection = limits.in_time(lambda: _connected(url), most)
        except psycopg.ProgrammingError:
            # No cause: the driver quotes the URL, password and all.
            raise MisconfiguredError(UNREADABLE) from None
        except limits.OutOfTimeError:
            raise StoreUnavailable(detail="Postgres has given no connection in time") from None
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _connected(url: str) -> Connection:
    return Connection.connect(
        url,
        autocommit=True,
        row_factory=dict_row,
        prepare_threshold=None,
        connect_timeout=3,
        keepalives_idle=15,
        tcp_user_timeout=10_000,
    )


def _away(error: psycopg.Error) -> bool:
    """Return whether the connection is lost. Otherwise Postgres has refused the statement."""
    return (
        isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.errors.ReadOnlySqlTransaction)
        # A pooler that has lost its server answers an internal error and closes the connection.
        or error.diag.severity_nonlocalized == "FATAL"
    )


def _full(error: psycopg.Error) -> bool:
    """Return whether too many connections are in use. A pooler may say that only at the first statement."""
    return is_full(error.sqlstate, error.diag.message_primary)


def about(error: psycopg.Error) -> str:
    """Name the error, its code, table, column and constraint. The server's own words quote the row, a QR or a token."""
    if error.sqlstate is None:
        # The driver's own words about a connection hold host and user, and may be told. About a value they hold the
        # value.
        about_connection = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return f"{type(error).__name__}: {error}" if about_connection else type(error).__name__
    where = error.diag
    names = {"table": where.table_name, "column": where.column_name, "constraint": where.constraint_name}
    known = [f"{kind} {name}" for kind, name in names.items() if name]
    return ", ".join([f"{type(error).__name__} {error.sqlstate}", *known])
