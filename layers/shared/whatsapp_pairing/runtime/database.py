"""A connection to Postgres that an instance keeps between invocations, and opens again when it is lost."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen, PQGenConn
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from whatsapp_pairing.core.backoff import Backoff
from whatsapp_pairing.core.errors import (
    DatabaseBusy,
    DatabaseRefused,
    DatabaseUnavailable,
    LoginRefused,
    MisconfiguredError,
)
from whatsapp_pairing.runtime import limits
from whatsapp_pairing.runtime.database_url import UNREADABLE, normalised
from whatsapp_pairing.runtime.dialing import dial, forget_variables, is_full, why_unconnected
from whatsapp_pairing.runtime.login import Login
from whatsapp_pairing.runtime.refusals import is_refused_login
from whatsapp_pairing.runtime.tls import warn_of_weakness

Row = dict[str, Any]
T = TypeVar("T")

# If nothing arrives within this time, either Postgres is frozen or the pooler has no free connection. statement_timeout
# helps in neither case, because the server itself must send that error.
_NO_ANSWER_SECONDS = 5.0
# All tries of a call together take no longer than this, so that the function answers before its own Timeout.
_PATIENCE_SECONDS = 8.0
# A function that was frozen for longer than _PATIENCE_SECONDS gets this much time for its second try.
_AGAIN_SECONDS = 3.0
# One try to write a session row takes no longer than this, because pairing goes on without it.
_BRIEF_SECONDS = 2.0
# SQLSTATEs of a statement that has waited for a lock for too long, or has run for too long. The connection still works.
_TOOK_TOO_LONG = ("55P03", "57014")
_DEADLOCK = "40P01"
# Pauses between two tries to connect while too many connections are in use. A call of ours uses a connection for some
# milliseconds only, so another try soon finds one.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _JITTER = 0.1, 1.0, 0.5


class Connection(psycopg.Connection[Row]):
    """A connection that limits how long a caller waits.

    Attributes
    ----------
    given_up_at : float
        When the caller gives up waiting, by the monotonic clock.
    """

    given_up_at = math.inf

    def execute(self, query: Any, params: Any = None, **named: Any) -> psycopg.Cursor[Row]:
        """Execute as psycopg does; within ``limits.brief_locks``, limit how long the statement waits for a lock.

        The limit and the statement are sent as one text, so they run in one transaction. With two texts, a pooler might
        run the statement on a connection that does not have the limit.
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
        """Connect as psycopg does, but raise TooManyConnections when too many connections are in use (``dial``)."""
        return cls((yield from dial(conninfo)))

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait as psycopg does, but only until the caller gives up, or for ``_NO_ANSWER_SECONDS``.

        Then close the connection, so that no later call waits for it.
        """
        patience = max(0.01, min(_NO_ANSWER_SECONDS, self.given_up_at - time.monotonic()))
        try:
            return super().wait(gen, interval, timeout or patience)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()
            raise


class Database:
    """One connection. It is opened on first use, and again after the network or the pooler has closed it.

    Parameters
    ----------
    url : callable
        Returns the URL, in any form that ``database_url`` knows. It is called for every new connection, and once more
        when a login is refused, so that a new password is used at once (``login``).

    Notes
    -----
    A transaction pooler may stand before Postgres, and give each transaction another connection to the server. So we
    use no prepared statements and no session state, names carry their schema, and one query is sent at a time.
    Supabase's pooler takes the connection away after the first answer. A second query that was sent before may then be
    lost, or may get another client's answer.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self._login = Login(url)
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` and return its result. It is one statement, and so one transaction and one exchange.

        The connection may be lost between two invocations, or before the answer has come. Then ``work`` runs once more
        on a new connection. The first try may have been committed, so every statement of ours can be repeated. While
        too many connections are in use, the call tries to connect until its time is up. The time limits of statements
        are settings of the role (migrations/20250115000000_role_settings.sql). A statement that has reached such a
        limit is not tried again.

        Raises
        ------
        DatabaseBusy
            The statement waited for a lock or ran for too long, or Postgres ended it twice because of a deadlock.
        DatabaseUnavailable
            Postgres cannot be reached, or the second try failed too, or no time is left (``limits.answers_in_time``).
        LoginRefused
            The login is refused, and the secret holds no other URL.
        DatabaseRefused
            Postgres refuses the statement. If ``work`` expects that, it catches the driver's error itself.
        """
        return self._run(work)

    def run_text(self, text: str, parameters: Mapping[str, object]) -> Row | None:
        """Run several statements in one exchange with the server. They begin and end a transaction themselves.

        The call waits for two seconds at most, because the caller goes on without the result.

        Returns
        -------
        Row or None
            The row of the last statement.

        Raises
        ------
        DatabaseRefused
            Postgres refuses a statement, or a statement reaches a time limit that the text sets. Postgres keeps nothing
            of the transaction, and the connection stays open.
        DatabaseUnavailable
            Postgres cannot be reached, or the second try failed too.
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
                raise DatabaseRefused(about(error), error.sqlstate) from None

        return self._run(work, _BRIEF_SECONDS)

    def _run(self, work: Callable[[Connection], T], patience: float | None = None) -> T:
        left = min(patience or _PATIENCE_SECONDS, limits.seconds_left())
        if left <= 0:
            raise DatabaseUnavailable(detail="no time is left to ask Postgres")
        given_up_at = time.monotonic() + left
        pauses = Backoff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, _JITTER)
        lost = 0
        while True:
            try:
                return self._run_once(work, given_up_at)
            except psycopg.Error as error:
                if _login_refused(error):
                    self.close()
                    if not self._login.note_refusal():
                        raise LoginRefused from None
                    continue
                if not _away(error):
                    self._login.note_success()
                    raise DatabaseRefused(about(error), error.sqlstate) from None
                if error.sqlstate in _TOOK_TOO_LONG:
                    raise DatabaseBusy(detail=about(error)) from None
                lost += self._connection is not None
                again_at_once = self._connection is not None and lost == 1
                self.close()
                pause = pauses.next() if _full(error) else 0.0
                if not again_at_once and not (pause and time.monotonic() + pause < given_up_at):
                    lasting = DatabaseBusy if error.sqlstate == _DEADLOCK else DatabaseUnavailable
                    raise lasting(detail=about(error)) from None
            now = time.monotonic()
            if again_at_once and now >= given_up_at:
                # The function was frozen for longer than its time. The first try may have been committed, so the second
                # try gets time of its own to fetch the answer.
                given_up_at = now + min(_AGAIN_SECONDS, limits.seconds_left())
            time.sleep(pause)

    def _run_once(self, work: Callable[[Connection], T], given_up_at: float) -> T:
        connection = self._connection or self._connect(given_up_at - time.monotonic())
        connection.given_up_at = given_up_at
        result = work(connection)
        self._login.note_success()
        return result

    def _connect(self, most: float) -> Connection:
        url = normalised(self._login.url())
        warn_of_weakness(url)
        forget_variables()
        try:
            # connect_timeout begins anew for each address of the host, and does not cover the look-up of the name.
            self._connection = limits.in_time(lambda: _connected(url), most)
        except psycopg.ProgrammingError:
            # `from None`, because the driver's message quotes the URL with its password.
            raise MisconfiguredError(UNREADABLE) from None
        except psycopg.OperationalError as error:
            raise why_unconnected(url, error) or error from None
        except limits.OutOfTimeError:
            raise DatabaseUnavailable(detail="Postgres has given no connection in time") from None
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


def _login_refused(error: psycopg.Error) -> bool:
    """Return whether the login is refused. A pooler may say that only at the first statement."""
    return is_refused_login(error.sqlstate or "", error.diag.message_primary)


def about(error: psycopg.Error) -> str:
    """Return the error's class, code, table, column and constraint.

    Postgres's own message is left out, because it may quote a row with a QR or a token.
    """
    if error.sqlstate is None:
        # The driver's message about a connection holds the host and the user, which the log may show. The driver's
        # message about a value holds the value.
        about_connection = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return f"{type(error).__name__}: {error}" if about_connection else type(error).__name__
    where = error.diag
    names = {"table": where.table_name, "column": where.column_name, "constraint": where.constraint_name}
    known = [f"{kind} {name}" for kind, name in names.items() if name]
    return ", ".join([f"{type(error).__name__} {error.sqlstate}", *known])
