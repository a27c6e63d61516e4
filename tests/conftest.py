"""A real Postgres for the tests: one server per session, one database per test.

``postgres``      the server; ``.url(database)`` names a database of it
``database_url``  a fresh database with Supabase's stand-ins, no migration applied
``migrated_url``  a fresh database with every migration applied

The server listens on 127.0.0.1 because the Go engine connects over TCP. ``TEST_POSTGRES`` chooses another
Postgres: ``16`` or ``18`` (both in the wheel), or a directory with ``initdb`` and ``postgres`` in it.
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
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from infra.local.account import PLACE
from infra.local.guard import Guard
from infra.local.postgres import EmbeddedPostgres
from tests.environment import CALLER
from tests.stack import Stack

# Each run tries the same examples and measures none: it fails for what was changed, not for its luck or a busy machine.
# ``make test ARGS=--hypothesis-profile=default`` tries other ones each time.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

ROOT = Path(__file__).resolve().parent.parent
STANDINS = ROOT / "infra" / "local" / "supabase.sql"

# The data is thrown away at the end. No autovacuum: it would sit in a template database at the moment it is copied.
THROWAWAY = {"synchronous_commit": "off", "autovacuum": "off"}


class Postgres:
    """A throwaway server on 127.0.0.1, and databases in it."""

    def __init__(self, version: str, **settings: str) -> None:
        self._numbers = itertools.count(1)
        self._directory = Path(tempfile.mkdtemp(prefix="whatsapp-pairing-postgres-"))
        self._directory.chmod(0o755)  # under root, the server runs as nobody
        self._guard = Guard()
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
        """A fresh copy of `template`, by its URL; dropped at the end, whoever is still connected."""
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
        """What the server writes."""
        return self._server.log

    def halt(self) -> None:
        """End the server at once, as a crash would; its data stays."""
        self._server.stop(signal.SIGQUIT)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the server."""
        server = psutil.Process(self._server.pid)
        for process in (server, *server.children()):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def resume(self) -> None:
        """Start a halted server again, on the same port; it recovers what it had committed."""
        self._server.resume()

    def _admin(self, statement: str, *names: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def serving() -> Iterator[Postgres]:
    """A server of the version that is tested, for as long as the block lasts."""
    server = Postgres(CALLER.get("TEST_POSTGRES", "16"))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's server."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def standins_template(postgres: Postgres) -> str:
    """The name of a database with Supabase's stand-ins, to be copied."""
    name = postgres.create()
    with postgres.connect(name) as connection:
        connection.execute(STANDINS.read_bytes())
    return name


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres, standins_template: str) -> str:
    """The name of a database with every migration applied, to be copied."""
    from infra.migrate import up

    name = postgres.create(standins_template)
    up(postgres.url(name))
    return name


@pytest.fixture
def database_url(postgres: Postgres, standins_template: str) -> Iterator[str]:
    """A fresh database with Supabase's stand-ins and no migration applied."""
    with postgres.database(standins_template) as url:
        yield url


@pytest.fixture
def migrated_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """A fresh database with every migration applied."""
    with postgres.database(migrated_template) as url:
        yield url


@pytest.fixture(scope="session")
def stack(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole system with the default windows, on a database of its own."""
    with _running(postgres, tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def runner_url(stack: Stack) -> Iterator[str]:
    """The base URL of a local runner with the sandbox, in which nobody is connected yet."""
    stack.sandbox.reset_knobs()
    yield stack.url
    stack.sandbox.reset_knobs()


@contextmanager
def _running(postgres: Postgres, data_dir: Path, *arguments: str) -> Iterator[Stack]:
    running = Stack(data_dir, "--database-url", postgres.url(postgres.create()), *arguments)
    try:
        yield running
    finally:
        assert running.stop() == 0


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_in_the_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remove what embedded databases of test runners have left outside pytest's folders, under root."""
    yield
    for link in tmp_path_factory.getbasetemp().rglob("postgres*"):
        if link.is_symlink() and link.resolve().parent == PLACE:
            shutil.rmtree(link.resolve(), ignore_errors=True)
