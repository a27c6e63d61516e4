"""The embedded Postgres. Its first start makes it. It listens on a free port of 127.0.0.1, and ends with the runner."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import psycopg
from psycopg.pq import PGconn, Ping

from infra.children import ChildGuard
from infra.errors import ToolError
from infra.ports import free_port
from infra.postgres.account import SystemAccount, account_for, reachable_folder
from infra.postgres.binaries import find_binaries

logger = logging.getLogger(__name__)

INIT_SECONDS = 300.0
START_SECONDS = 120.0
STOP_SECONDS = 10.0

# SIGINT lets Postgres write a checkpoint. If that takes too long, the other two end it at once, and Postgres recovers
# at the next start.
ENDINGS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)

# The server's name in the process list. The runner ends only a server with this name.
NAME = "whatsapp-pairing-local"

# The server listens on TCP, because the Go engine needs TCP. fsync is off, because it takes time and protects only
# against a power cut, which a developer's data need not survive. The kernel keeps what a killed process has written.
SETTINGS = {
    "cluster_name": NAME,
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "fsync": "off",
    "full_page_writes": "off",
}

# initdb and Postgres get only these variables. The caller's variables may name a locale that this machine lacks.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedPostgres:
    """A Postgres that this process starts and ends: the local system's, and the tests'.

    Parameters
    ----------
    data
        The folder of its files. The first start makes it. Under root it may become a link (`account`).
    log
        The file for the output of initdb and the server.
    guard
        Ends the server if the runner is killed.
    settings
        Server settings beside `SETTINGS`.
    version
        A version of the wheel (``16`` or ``18``), or a folder with ``initdb`` and ``postgres`` in it.
    """

    def __init__(
        self, data: Path, log: Path, guard: ChildGuard, settings: Mapping[str, str] | None = None, version: str = "16"
    ) -> None:
        self.log = log
        self.port = 0
        self._wanted = data
        self._data = data
        self._guard = guard
        self._settings = SETTINGS | dict(settings or {})
        self._version = version
        self._process: subprocess.Popen[bytes] | None = None
        self._account = SystemAccount()
        self.binaries = Path()
        self._said_from = 0

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> str:
        """Start the server and return the URL of its database ``postgres``.

        Raises
        ------
        ToolError
            The database cannot be made or started. The message repeats what Postgres says.
        """
        try:
            self._account = account_for(self._wanted)
            self._data = reachable_folder(self._wanted, self._account)
            if self._account.uid is not None:
                logger.info(
                    "Postgres refuses to run as root, so it runs as uid %d in %s", self._account.uid, self._data
                )
            self.binaries = find_binaries(self._version, self._account)
            self._stop_leftover()
            if not self._data.exists() or not any(self._data.iterdir()):
                self._init()
            self._start()
        except (OSError, subprocess.SubprocessError) as error:
            raise ToolError(f"cannot make or start a database in {self._wanted}: {error}") from error
        return self.url()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database of this server, for its superuser."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def stop(self, *numbers: signal.Signals) -> None:
        """Send these signals (default: `ENDINGS`), one after the other, until the server has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        _end(process, numbers or ENDINGS)
        self._guard.unwatch(process.pid)

    def resume(self) -> None:
        """Start the server again on the port that it had."""
        self._spawn()
        if not self._ready():
            raise self._not_starting()

    def remove(self) -> None:
        """Remove the files of a stopped server, including those in `account.PLACE`."""
        for folder in (self._data, self._unfinished):
            shutil.rmtree(folder, ignore_errors=True)
        if self._wanted.is_symlink():
            self._wanted.unlink()

    @property
    def _unfinished(self) -> Path:
        return self._data.with_name(self._data.name + ".new")

    def _init(self) -> None:
        """Let initdb write to a sibling folder, and rename it at the end.

        If initdb is killed, no half folder remains under the final name.
        """
        self._require_user_name()
        unfinished = self._unfinished
        if unfinished.exists():
            shutil.rmtree(unfinished)
        self._account.own(unfinished)
        command = [
            str(self.binaries / "initdb"), "--pgdata", str(unfinished), "--username", "postgres",
            "--auth", "trust", "--encoding", "UTF8", "--no-sync",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            process = self._popen(command, log.fileno())
            self._guard.watch(process.pid)
            try:
                status = process.wait(INIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise ToolError(f"initdb did not end within {INIT_SECONDS:.0f} s; see {self.log}") from None
            finally:
                self._guard.unwatch(process.pid)
        if status:
            raise ToolError(f"cannot make a database in {self._data}; initdb says:\n{self._said()}")
        unfinished.rename(self._data)

    def _require_user_name(self) -> None:
        """Raise a plain error for a user id without a name. The message of initdb does not say what to do."""
        uid = os.geteuid() if self._account.uid is None else self._account.uid
        try:
            pwd.getpwuid(uid)
        except KeyError:
            raise ToolError(
                f"initdb cannot work for the user id {uid}, which has no entry in /etc/passwd. "
                "Add one, start the local system as another user, or give it a database with --database-url."
            ) from None

    def _start(self) -> None:
        # Another program may take the port before Postgres does. Then another port helps.
        for _ in range(3):
            self.port = free_port()
            self._spawn()
            if self._ready():
                return
        raise self._not_starting()

    def _not_starting(self) -> ToolError:
        return ToolError(f"Postgres does not start in {self._wanted}; it says:\n{self._said()}")

    def _said(self) -> str:
        """Return the last lines that initdb or the server has written since its start."""
        with self.log.open("rb") as log:
            log.seek(self._said_from)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-10:])

    def _spawn(self) -> None:
        command = [str(self.binaries / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._process = self._popen(command, log.fileno())
        self._guard.watch(self._process.pid, signal.SIGINT)

    def _popen(self, command: list[str], log: int) -> subprocess.Popen[bytes]:
        self._said_from = os.fstat(log).st_size
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=ENVIRONMENT,
            # In a session of its own, the server does not get the terminal's Ctrl-C. Only the runner gets it.
            start_new_session=True,
            **self._account.popen,
        )

    def _ready(self) -> bool:
        """Wait until the server answers, and return True. Return False if it ends first.

        Raises
        ------
        ToolError
            The server refuses a connection, or it does not answer in time.
        """
        process = self._process
        assert process is not None
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None:
            if PGconn.ping(f"{self.url()}?connect_timeout=5".encode()) == Ping.OK:
                # The server answers. If it refuses a connection now, for example to a missing database, waiting does
                # not help.
                try:
                    psycopg.connect(self.url(), connect_timeout=30).close()
                except psycopg.OperationalError as error:
                    self.stop()
                    raise ToolError(f"the database in {self._wanted} cannot be used: {error}") from error
                return True
            if time.monotonic() > deadline:
                self.stop()
                raise ToolError(f"Postgres did not answer within {START_SECONDS:.0f} s; it says:\n{self._said()}")
            time.sleep(0.02)
        self._guard.unwatch(process.pid)
        self._process = None
        return False

    def _stop_leftover(self) -> None:
        """End the Postgres that a killed runner has left on this folder.

        The lock file (``postmaster.pid``) always stays, because Postgres itself finds out whether a lock is stale.
        It ends no server that somebody else has started. The new Postgres then says that the folder is in use.
        """
        try:
            process = psutil.Process(int((self._data / "postmaster.pid").read_text().splitlines()[0]))
            # A server works in its data folder, even if it was started with a relative path.
            ours = Path(process.cwd()) == self._data.resolve() and f"cluster_name={NAME}" in process.cmdline()
        except (OSError, IndexError, ValueError, psutil.Error):
            return
        if ours:
            _end(process, ENDINGS)


def _end(process: subprocess.Popen[bytes] | psutil.Process, numbers: Sequence[signal.Signals]) -> None:
    for number in numbers:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
            process.wait(STOP_SECONDS)
            return
