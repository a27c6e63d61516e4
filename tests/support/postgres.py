"""A Postgres for the tests, whose data is deleted at the end.

The server listens on 127.0.0.1 because the Go engine connects over TCP. ``TEST_POSTGRES`` chooses another
Postgres: ``16`` or ``18`` (the wheel has both), ``15`` or ``17`` (from npm), or a directory with ``initdb`` and
``postgres`` in it.
"""

from __future__ import annotations

import itertools
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from infra.children import ChildGuard
from infra.postgres.server import EmbeddedPostgres
from tests.support.environment import CALLER
from tests.support.other_postgres import binaries

# The data need not survive a crash. Autovacuum is off, because Postgres copies no template database that is in use.
THROWAWAY = {"synchronous_commit": "off", "autovacuum": "off"}


class Postgres:
    """A server on 127.0.0.1 whose data is deleted at the end, and databases in it."""

    def __init__(self, version: str, **settings: str) -> None:
        self._numbers = itertools.count(1)
        self._directory = Path(tempfile.mkdtemp(prefix="whatsapp-pairing-postgres-"))
        self._directory.chmod(0o755)  # as root, the server runs as the user nobody
        self._guard = ChildGuard()
        self._server = EmbeddedPostgres(
            self._directory / "data", self._directory / "log", self._guard, THROWAWAY | settings, version
        )
        try:
            self._server.start()
        except BaseException:
            self.stop()
            raise
        self.port = self._server.port

    def url(self, database: str = "postgres") -> str:
        """The URL of `database`, as the server's superuser."""
        return self._server.url(database)

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """An autocommit connection to `database`."""
        return psycopg.connect(self.url(database), autocommit=True)

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A fresh copy of `template`: its URL. The block's end drops it, even if clients are still connected."""
        name = self.create(template)
        try:
            yield self.url(name)
        finally:
            self._admin("drop database {} with (force)", name)

    def create(self, template: str = "template1") -> str:
        """Create a copy of `template` and return its name."""
        name = f"test_{next(self._numbers)}"
        self._admin("create database {} template {}", name, template)
        return name

    def stop(self) -> None:
        """End the server and remove its data."""
        self.halt()
        self._guard.close()
        self._server.remove()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def log(self) -> Path:
        """The path of the server's log."""
        return self._server.log

    def halt(self) -> None:
        """End the server at once, as a crash would. Its data stays."""
        self._server.stop(signal.SIGQUIT)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the server."""
        server = psutil.Process(self._server.pid)
        for process in (server, *server.children()):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def resume(self) -> None:
        """Start a halted server again, on the same port. It recovers what was committed."""
        self._server.resume()

    def _admin(self, statement: str, *names: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def serving() -> Iterator[Postgres]:
    """A server of the tested version. It ends with the block."""
    server = Postgres(binaries(CALLER.get("TEST_POSTGRES") or "16"))
    try:
        yield server
    finally:
        server.stop()
