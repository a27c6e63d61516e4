"""A Postgres connection that survives warm invocations and dropped sockets."""

import logging
import re
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import dict_row

from whatsapp_pairing.errors import MisconfiguredError, StoreRefused, StoreUnavailable

Row = dict[str, Any]
T = TypeVar("T")

# Of an error that follows another it writes the server's whole words, with the row that they quote.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)

# With a bare "@" or "/" in the password, drivers take the rest of it for a host and quote that when it is not found.
_URL = re.compile(r"postgres(ql)?://([^@/]*@)?[^@]*")

# A statement that waits longer waits for a lock or a sick server; a linker's lease lasts 8 s.
_LIMIT = "SET LOCAL statement_timeout = '4s'"
# A server that does not even say so is frozen, or a pooler in front of it has no connection to give.
_SILENT_SECONDS = 5.0


class Connection(psycopg.Connection[Row]):
    """One that is not waited for without end."""

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait as psycopg does; after silence the connection is closed, so that nothing waits for it again."""
        try:
            return super().wait(gen, interval, timeout or _SILENT_SECONDS)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()
            raise


class Database:
    """One connection, opened on first use, opened anew after the network or the pooler dropped it.

    Parameters
    ----------
    url : callable
        Gives the ``postgresql://`` URL. Called for every new connection, so that a rotated password is picked up.

    Notes
    -----
    Fit for a transaction pooler: no prepared statements, no session state, schema-qualified names.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction and return what it returns.

        A connection that died between two invocations is noticed only when it is used, so work on a re-used
        connection is tried once more on a fresh one. Every statement of ours is a compare-and-set and may be repeated.

        Raises
        ------
        StoreUnavailable
            Postgres cannot be reached or ended the connection again.
        StoreRefused
            It refuses a statement. Whoever expects that catches the driver's own error in ``work``.
        """
        reused = self._connection is not None
        try:
            return self._run_once(work)
        except StoreUnavailable:
            if not reused:
                raise
            return self._run_once(work)

    def _run_once(self, work: Callable[[Connection], T]) -> T:
        try:
            connection = self._connection or self._connect()
            # The pipeline sends BEGIN, the limit and the first statement together.
            with connection.pipeline(), connection.transaction():
                connection.execute(_LIMIT)
                return work(connection)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            raise StoreUnavailable(detail=_about(error)) from None
        except psycopg.Error as error:
            raise StoreRefused(detail=_about(error)) from None

    def _connect(self) -> Connection:
        url = self._url()
        try:
            if not _URL.fullmatch(url):
                raise psycopg.ProgrammingError
            self._connection = Connection.connect(
                url,
                autocommit=True,
                row_factory=dict_row,
                prepare_threshold=None,
                connect_timeout=3,
                keepalives_idle=15,
                tcp_user_timeout=10_000,
            )
        except psycopg.ProgrammingError:
            # No cause: the driver quotes the URL, password and all.
            raise MisconfiguredError(
                "The database's URL is malformed. Special characters of a password are written as %40 and the like."
            ) from None
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _about(error: psycopg.Error) -> str:
    """Say what has failed by names alone: the server's words quote the row, and with it a QR or a token."""
    if error.sqlstate is None:
        # The driver's own words: of a connection, they hold the host and the user; of a value, the value.
        about_connection = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return f"{type(error).__name__}: {error}" if about_connection else type(error).__name__
    where = error.diag
    names = {"table": where.table_name, "column": where.column_name, "constraint": where.constraint_name}
    known = [f"{kind} {name}" for kind, name in names.items() if name]
    return ", ".join([f"{type(error).__name__} {error.sqlstate}", *known])


def act_as(connection: Connection, claims_json: str) -> None:
    """Run the rest of the transaction as Supabase's ``authenticated`` role with these JWT claims."""
    connection.execute(
        "SELECT set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)",
        (claims_json,),
    )
