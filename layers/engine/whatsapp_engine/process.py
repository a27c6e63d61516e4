"""One engine, one child process: started for a task, watched, killed by pid at its end.

The parent never imports neonize: it stays light, outlives a crash or a hang of native code, and the end of the child
is the end of every thread, socket and database connection that the engine has opened.
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
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from whatsapp_pairing.core.engine import DatabaseFailed, Died, EngineRun, Event
from whatsapp_pairing.core.errors import DatabaseUnavailable, MisconfiguredError
from whatsapp_pairing.runtime.database_url import NO_SESSION, is_transaction_pooler, normalised
from whatsapp_pairing.runtime.observability import logger

from whatsapp_engine import protocol

# The first line may take this long: a cold start reads 50 MB of library from disk.
_START_SECONDS = 30.0
# A child that has not beaten for this long hangs.
_SILENT_SECONDS = 8.0
# Go's driver would wait for a silent server until the linker takes WhatsApp to be silent. The URL may overrule it.
_LIMIT = {"PGCONNECT_TIMEOUT": "10"}
_SCHEMA = "whatsapp_engine"
# neonize takes this name for a file of SQLite. SQLite then keeps everything in memory.
_IN_MEMORY = ":memory:"
# Of a URL's parameters, those that Go's driver knows as libpq does; what else it finds it sends to the server.
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
        Gives the ``postgresql://`` URL in whose schema ``whatsapp_engine`` the device keys live. Without it they
        end with the child, which is enough for a look at whether there is a QR.
    """

    def __init__(self, database_url: Callable[[], str] | None = None) -> None:
        self._database_url = database_url

    def pair(self, until: float) -> EngineRun:
        """Offer a fresh device."""
        return self._run("pair", until)

    def resume(self, jid: str, until: float) -> EngineRun:
        """Log a stored device in. A device that is not stored would abort the child."""
        return self._run("resume", until, jid)

    def log_out(self, jid: str, until: float) -> EngineRun:
        """Log a stored device in, and remove it from the phone after ``confirm``."""
        return self._run("log_out", until, jid)

    def create_tables(self) -> None:
        """Create or upgrade whatsmeow's tables; once per deployment, not in the race of the first linkers.

        Raises
        ------
        RuntimeError
            The engine did not finish; the text says why, without a value or a word of the URL.
        """
        with self._start("create_tables", time.monotonic() + 2 * _START_SECONDS) as run:
            run.finish(_START_SECONDS)

    def _run(self, task: str, until: float, jid: str | None = None) -> EngineRun:
        try:
            return self._start(task, until, jid)
        except MisconfiguredError as error:
            return NoRun(_log(DatabaseFailed(str(error))))
        except DatabaseUnavailable:
            return NoRun(_log(DatabaseFailed("its secret cannot be read at the moment", passes=True)))
        except OSError as error:
            return NoRun(Died(f"it could not be started: {errno.errorcode.get(error.errno or 0, 'OSError')}"))

    def _start(self, task: str, until: float, jid: str | None = None) -> "ChildRun":
        dsn = engine_dsn(self._database_url()) if self._database_url else _IN_MEMORY
        return ChildRun({"task": task, "dsn": dsn, "jid": jid, "until": until})


class NoRun:
    """The ``whatsapp_pairing.core.engine.EngineRun`` of an engine that could not be started: it only says why."""

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

    def __init__(self, task: dict[str, object]) -> None:
        self._pipe, child_end = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "whatsapp_engine.child", str(child_end)],
                # Write without a buffer. A line for a child that is gone then fails at once. A buffer would keep the
                # line and fail again when the pipe is closed.
                bufsize=0,
                stdin=subprocess.PIPE,
                # The engine prints, also what it must not: it has its own pipe for what we want to hear.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[child_end],
                env={**_LIMIT, **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(child_end)
        # By the pipe and not by argument or environment: those can be read in /proc, and the URL holds a password.
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
            if isinstance(event, DatabaseFailed):
                _log(event)
            if not isinstance(event, str):
                return event

    def live_until(self, moment: float) -> None:
        """Tell the child until when it may live."""
        if not self._over:
            self._tell({"until": moment})

    def confirm(self) -> None:
        """Let an engine that was started to log out do so, now that it is Online."""
        self._tell({"confirm": True})

    def finish(self, timeout: float) -> None:
        """Wait until the child says that its task is done.

        Raises
        ------
        RuntimeError
            Its database refuses it, it has died, or ``timeout`` seconds are over.
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
        """Kill the child; it has nothing to save, whatsmeow writes as it goes."""
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
            # Read the pipe before the child counts as silent. It may have written while we were busy or frozen.
            readable, _, _ = select.select([self._pipe], [], [], max(0.0, min(until, self._silent_from) - now))
            if readable:
                data = os.read(self._pipe, 65536)
                if not data:
                    return Died(_end(self._process.wait()))
                self._unread += data
                self._silent_from = time.monotonic() + _SILENT_SECONDS
            elif now >= self._silent_from:
                return Died("silent")
            elif now >= until:
                return None
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def _log(failure: DatabaseFailed) -> DatabaseFailed:
    logger.error("the engine's database refuses it", extra={"why": failure.why})
    return failure


def _end(status: int) -> str:
    return "its time was over" if status == -signal.SIGALRM else f"exit status {status}"


def engine_dsn(database_url: str) -> str:
    """Return the URL for Go's driver: whatsmeow's tables in their own schema, TLS as libpq would choose it.

    Go's driver refuses a server without TLS unless it is told; libpq's default is to prefer it. A server on this
    machine is taken to have none, any other to have it; ``sslmode`` in the URL overrules both.

    Raises
    ------
    MisconfiguredError
        The URL is wrong, or leads to Supabase's transaction pooler, which loses what Go's driver prepares.
    """
    url = normalised(database_url)
    if is_transaction_pooler(url):
        raise MisconfiguredError(NO_SESSION)
    parts = urlsplit(url)
    query = {name: value for name, value in parse_qsl(parts.query) if name in _SHARED_PARAMETERS}
    query.setdefault("sslmode", "disable" if _on_this_machine(parts.hostname) else "require")
    query["search_path"] = _SCHEMA
    return urlunsplit(parts._replace(query=urlencode(query)))


def _on_this_machine(host: str | None) -> bool:
    return host in (None, "localhost", "127.0.0.1", "::1")
