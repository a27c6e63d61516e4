"""A Postgres connection that survives warm invocations and dropped sockets."""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import dict_row

from whatsapp_pairing.errors import MisconfiguredError, StoreUnavailable

Row = dict[str, Any]
T = TypeVar("T")

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
            # The driver's message may hold the host and the user; it goes to the log through the cause only.
            raise StoreUnavailable from error

    def _connect(self) -> Connection:
        try:
            self._connection = Connection.connect(
                self._url(),
                autocommit=True,
                row_factory=dict_row,
                prepare_threshold=None,
                connect_timeout=3,
                keepalives_idle=15,
                tcp_user_timeout=10_000,
            )
        except psycopg.ProgrammingError:
            # No cause: the driver quotes the URL, password and all.
            raise MisconfiguredError("The database's URL is malformed.") from None
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def act_as(connection: Connection, claims_json: str) -> None:
    """Run the rest of the transaction as Supabase's ``authenticated`` role with these JWT claims."""
    connection.execute(
        "SELECT set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)",
        (claims_json,),
    )
