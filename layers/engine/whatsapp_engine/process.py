"""Runs one engine in one child process: starts it for a task, watches it, and kills it by its pid.

The parent does not import neonize. So it stays small, and it survives when native code crashes or hangs. When the child
ends, all threads, sockets and database connections of the engine end with it.
"""

import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import TracebackType
from urllib.parse import parse_qsl, quote, urlencode

from whatsapp_pairing.core.engine import DatabaseFailed, Died, EngineRun, Event
from whatsapp_pairing.core.errors import MisconfiguredError
from whatsapp_pairing.runtime.database_url import NO_SESSION, is_transaction_pooler, normalised
from whatsapp_pairing.runtime.tls import warn_of_weakness

from whatsapp_engine import protocol
from whatsapp_engine.environment import engine_environment, hide_this_process
from whatsapp_engine.logins import Logins, NoUrlError, logged

# The child may take this long before its first line, because a cold start reads a library of 50 MB from disk.
_START_SECONDS = 30.0
# A child that has written no line for this long hangs.
_HANGS_AFTER_SECONDS = 8.0
# Go's driver waits this long for a server that stays silent, unless the URL says otherwise. Without this limit, the
# driver would wait so long that the linker would report that WhatsApp is silent.
_LIMIT = {"PGCONNECT_TIMEOUT": "10"}
# Go ends with the status 2 after a fault that it cannot handle.
_GO_GAVE_UP = ": Go gave up, perhaps because the database's URL leads to a server that is no Postgres"
_SCHEMA = "whatsapp_engine"
# neonize opens this name as a file of SQLite, and SQLite then keeps everything in memory.
_IN_MEMORY = ":memory:"
# The parameters of a URL that mean the same to Go's driver and to libpq. Go's driver sends all others to the server, so
# they are left out.
_SHARED_PARAMETERS = {
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "connect_timeout",
    "application_name",
    "options",
    "target_session_attrs",
    "host",
}


class ProcessEngine:
    """Starts engines in child processes, as ``whatsapp_pairing.core.engine.Engine``.

    Parameters
    ----------
    database_url : callable, optional
        Returns the ``postgresql://`` URL of the database whose schema ``whatsapp_engine`` holds the keys. Without it,
        the keys end with the child, which is enough for the probe.
    proxy : callable, optional
        Returns the URL of the proxy through which the engine reaches WhatsApp. The database is reached without it.

    Notes
    -----
    An instance keeps one object, because the object remembers a login that was refused (``runtime.login``).
    """

    def __init__(self, database_url: Callable[[], str] | None = None, proxy: Callable[[], str] | None = None) -> None:
        self._logins = Logins(database_url, proxy)

    def pair(self, until: float) -> EngineRun:
        """Offer a new device."""
        return self._run("pair", until)

    def resume(self, jid: str, until: float) -> EngineRun:
        """Log a stored device in. The device must be stored, or the child aborts."""
        return self._run("resume", until, jid)

    def log_out(self, jid: str, until: float) -> EngineRun:
        """Log a stored device in, and remove it from the phone after ``confirm``."""
        return self._run("log_out", until, jid)

    def create_tables(self) -> None:
        """Create or upgrade whatsmeow's tables. Each deployment does this once, before a linker needs the tables.

        Raises
        ------
        RuntimeError
            The engine did not finish. The text says why, and holds no part of the URL and no value.
        """
        with self._start("create_tables", time.monotonic() + 2 * _START_SECONDS) as run:
            run.finish(_START_SECONDS)

    def _run(self, task: str, until: float, jid: str | None = None) -> EngineRun:
        try:
            return self._start(task, until, jid)
        except NoUrlError as error:
            return NoRun(error.event)
        except MisconfiguredError as error:
            return NoRun(logged(DatabaseFailed(str(error))))
        except OSError as error:
            return NoRun(Died(f"it could not be started: {errno.errorcode.get(error.errno or 0, 'OSError')}"))

    def _start(self, task: str, until: float, jid: str | None = None) -> "ChildRun":
        url = self._logins.database_url()
        dsn = _IN_MEMORY if url is None else engine_dsn(url)
        return ChildRun(protocol.task(task, dsn, until, jid, self._logins.proxy_url()), self._logins)


class NoRun:
    """The ``EngineRun`` of an engine that could not be started. Its only event says why."""

    def __init__(self, why: Event) -> None:
        self._why = why

    def next_event(self, timeout: float) -> Event | None:  # noqa: ARG002
        """Return why there is no engine."""
        return self._why

    def live_until(self, moment: float) -> None:
        """Do nothing, because no engine runs."""

    def confirm(self) -> None:
        """Do nothing, because no engine runs."""

    def __enter__(self) -> "NoRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class ChildRun:
    """One child at work, as ``core.engine.EngineRun``. It starts with the object and ends with its context."""

    def __init__(self, task: dict[str, object], logins: Logins) -> None:
        self._logins = logins
        hide_this_process()
        self._pipe, child_end = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "whatsapp_engine.child", str(child_end)],
                # Write without a buffer, so that a line for a child that is gone fails at once. A buffer would keep the
                # line, and fail once more when the pipe is closed.
                bufsize=0,
                stdin=subprocess.PIPE,
                # Discard what the engine prints, because secrets may be in it. Its events come by a pipe of their own.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[child_end],
                env={**engine_environment(sys.path, own_proxy=bool(task.get("proxy"))), **_LIMIT},
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(child_end)
        # Send the task by the pipe, because it holds the passwords of the database and of the proxy. Other processes
        # can read arguments and environment in /proc.
        self._tell(task)
        self._unread = b""
        self._silent_from = time.monotonic() + _START_SECONDS
        self._over = False

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def next_event(self, timeout: float) -> Event | None:
        """Return the next event, or None after ``timeout`` seconds."""
        until = time.monotonic() + timeout
        while True:
            line = self._next_line(until)
            if line is None:
                return None
            if isinstance(line, Died):
                return line
            event = protocol.decode(line)
            if not isinstance(event, str):
                return self._logins.judged(event)

    def live_until(self, moment: float) -> None:
        """Tell the child until when it may live."""
        if not self._over:
            self._tell({"until": moment})

    def confirm(self) -> None:
        """Let an engine with the task ``log_out`` log out, now that it is Online."""
        self._tell({"confirm": True})

    def finish(self, timeout: float) -> None:
        """Wait until the child says that its task is done.

        Raises
        ------
        RuntimeError
            The engine's database has failed, the child has died, or ``timeout`` seconds are over.
        """
        until = time.monotonic() + timeout
        while isinstance(line := self._next_line(until), bytes):
            event = protocol.decode(line)
            if isinstance(event, DatabaseFailed):
                raise RuntimeError(event.why)
            if event == protocol.DONE:
                return
        raise RuntimeError(f"it died: {line.why}" if line else f"it did not finish in {timeout:.0f} s")

    def close(self) -> None:
        """Kill the child. Nothing is lost, because whatsmeow stores each change at once."""
        if not self._over:
            self._over = True
            self._process.kill()
            os.close(self._pipe)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def __enter__(self) -> "ChildRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self, line: dict[str, object]) -> None:
        assert self._process.stdin is not None
        # The write fails when the child is gone. ``next_event`` reports that.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(line).encode() + b"\n")

    def _next_line(self, until: float) -> bytes | Died | None:
        while b"\n" not in self._unread:
            now = time.monotonic()
            # Read the pipe before the child counts as silent. It may have written while the parent was busy or frozen.
            readable, _, _ = select.select([self._pipe], [], [], max(0.0, min(until, self._silent_from) - now))
            if readable:
                data = os.read(self._pipe, 65536)
                if not data:
                    return Died(_end(self._process.wait()))
                self._unread += data
                self._silent_from = time.monotonic() + _HANGS_AFTER_SECONDS
            elif now >= self._silent_from:
                return Died("silent")
            elif now >= until:
                return None
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def _end(status: int) -> str:
    if status == -signal.SIGALRM:
        return "its time was over"
    return f"exit status {status}" + (_GO_GAVE_UP if status == 2 else "")


def engine_dsn(database_url: str) -> str:
    """Return the URL for Go's driver. It names the schema of whatsmeow's tables.

    Raises
    ------
    MisconfiguredError
        The URL is wrong. Or it leads to Supabase's transaction pooler, which loses the statements that Go's driver
        prepares.
    """
    url = normalised(database_url)
    if is_transaction_pooler(url):
        raise MisconfiguredError(NO_SESSION)
    warn_of_weakness(url)
    server, _, parameters = url.partition("?")
    query = {name: value for name, value in parse_qsl(parameters) if name in _SHARED_PARAMETERS}
    # Supabase's pooler drops search_path as a parameter of its own, and passes it on within the options. The last wins.
    query["options"] = f"{query.get('options', '')} --search_path={_SCHEMA}".strip()
    # libpq reads a plus sign as it is, so write a space as %20.
    return f"{server}?{urlencode(query, quote_via=quote)}"
