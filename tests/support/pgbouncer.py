"""Starts Debian's PgBouncer in transaction mode in front of the tests' Postgres, like Supabase's pooler."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from infra.children import ChildGuard
from infra.local.standins.database import ROLES
from infra.ports import free_port
from infra.postgres.account import account_for
from tests.support.environment import CALLER
from tests.support.stack import PATIENCE_SECONDS

# Debian installs it into a folder that is not in every user's PATH.
_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")

_SETTINGS = {
    "listen_addr": "127.0.0.1",
    "unix_socket_dir": "",
    "auth_type": "trust",
    "auth_file": "users",
    "admin_users": "postgres",
    "pool_mode": "transaction",
    # After Postgres has refused a connection, PgBouncer refuses its clients for this many seconds.
    "server_login_retry": "1",
}


class PgBouncer:
    """A pooler on a free port of 127.0.0.1.

    Parameters
    ----------
    postgres_port : int
        The port of its Postgres.
    folder : Path
        An empty folder for its configuration and its log.
    settings : dict
        Further settings of PgBouncer.
    users : tuple of str
        Further roles that may log in. The superuser and the three login roles may always.
    connect_query : str
        A statement that it runs on each new connection to Postgres.
    """

    def __init__(
        self,
        postgres_port: int,
        folder: Path,
        settings: dict[str, object],
        users: tuple[str, ...],
        connect_query: str = "",
    ) -> None:
        account = account_for(folder)
        self._log = folder / "log"
        self.port = free_port()
        lines = [f"{name} = {value}" for name, value in (_SETTINGS | {"listen_port": self.port} | settings).items()]
        at_connect = connect_query and f" connect_query='{connect_query}'"
        databases = f"[databases]\n* = host=127.0.0.1 port={postgres_port}{at_connect}\n"
        (folder / "ini").write_text(databases + "\n".join(["[pgbouncer]", *lines, ""]))
        self._passwords = dict.fromkeys(("postgres", *ROLES.values(), *users), "secret")
        self._users = folder / "users"
        self._write_users()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(_PROGRAM), "ini"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                start_new_session=True,
                **account.popen,
            )
        self._guard = ChildGuard()
        self._guard.watch(self._process.pid)
        self._wait_until_ready()

    def url(self, database: str) -> str:
        """The superuser's URL of a database, through PgBouncer."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @property
    def refusals(self) -> int:
        """How many logins of clients it has refused."""
        return self._log.read_text().count("pooler error: ")

    def set_password(self, user: str, password: str) -> None:
        """Change the password that PgBouncer asks for, and that it gives to Postgres."""
        self._passwords[user] = password
        self._write_users()
        with self._console() as console:
            console.execute("RELOAD")

    def reconnect(self) -> None:
        """Let PgBouncer open new connections to Postgres for the next statements."""
        with self._console() as console:
            console.execute("RECONNECT")

    def _console(self) -> psycopg.Connection:
        url = self.url("pgbouncer").replace("@", f":{self._passwords['postgres']}@")
        return psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor)

    def _write_users(self) -> None:
        lines = (f'"{user}" "{password}"\n' for user, password in self._passwords.items())
        self._users.write_text("".join(lines))

    def stop(self) -> None:
        """End PgBouncer at once."""
        self._process.kill()
        self._process.wait()
        self._guard.unwatch(self._process.pid)
        self._guard.close()

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
        self.stop()
        raise AssertionError(f"PgBouncer does not start:\n{self._log.read_text()}")


def require() -> None:
    """Skip the test on a machine without PgBouncer; in CI, let it fail."""
    if _PROGRAM is None:
        end = pytest.fail if CALLER.get("CI") else pytest.skip
        end("no PgBouncer on this machine (apt-get install pgbouncer)")


@contextmanager
def pooling(
    postgres_port: int, users: tuple[str, ...] = (), connect_query: str = "", **settings: object
) -> Iterator[PgBouncer]:
    """A PgBouncer in front of the Postgres on this port. It ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="whatsapp-pairing-pgbouncer-"))
    folder.chmod(0o755)  # as root, it runs as the user nobody
    try:
        pooler = PgBouncer(postgres_port, folder, settings, users, connect_query)
        try:
            yield pooler
        finally:
            pooler.stop()
    finally:
        shutil.rmtree(folder)
