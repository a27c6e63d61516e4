"""One whole system with a Postgres of its own, and the faults that a case may cause."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
from psycopg.rows import dict_row

from tests.support.postgres import Postgres
from tests.support.sandbox_client import SandboxClient
from tests.support.stack import RunningSystem, call
from tests.system.faults.aws_proxy import AwsProxy
from tests.system.faults.postgres_proxy import PostgresProxy
from tests.system.faults.template import write_template

T = TypeVar("T")

# Long enough for two lost linkers on a slow machine, and far below the default windows.
PATIENCE = 60.0
OVER = ("connected", "error", "disconnected")


@dataclass(frozen=True)
class Kind:
    """How a system differs from the default one.

    Attributes
    ----------
    windows : tuple of str
        The runner's arguments for short windows. Cases that wait for the end of a window have them.
    clock_seconds : float
        How far the functions' clock is ahead of the database's.
    linker : tuple of (str, object)
        Properties of the linker that differ from the template's.
    """

    windows: tuple[str, ...] = ()
    clock_seconds: float = 0
    linker: tuple[tuple[str, object], ...] = ()


PATIENT = Kind()
HASTY = Kind(windows=("--qr-seconds", "15", "--auth-seconds", "15"))  # the shortest that the template takes


class DisturbedSystem:
    """The system under test. One case at a time uses it."""

    def __init__(self, kind: Kind) -> None:
        self._open = contextlib.ExitStack()
        try:
            # The cases crash this Postgres, so it must keep what it has committed.
            self.postgres = Postgres("16", synchronous_commit="on")
            self._open.callback(self.postgres.stop)
            self.database = self.postgres.create()
            directory = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="whatsapp-pairing-faults-")))
            self.aws = AwsProxy()
            self._open.callback(self.aws.stop)
            template = write_template(directory / "template.json", self.aws.url, kind.clock_seconds, dict(kind.linker))
            self.postgres_proxy = PostgresProxy(self.postgres.port)
            self._open.callback(self.postgres_proxy.close)
            database = self.postgres.url(self.database)
            ways = []
            for need in ("api", "worker"):
                url = f"postgresql://whatsapp_{need}@127.0.0.1:{self.postgres_proxy.port}/{self.database}"
                ways += [f"--{need}-database-url", url]
            self.stack = RunningSystem(
                directory, "--template", str(template), "--database-url", database, *ways, *kind.windows
            )
            self._open.callback(self.stack.stop)
            self.aws.target = call("GET", f"{self.stack.url}/dev/config").json()["awsEndpoint"]
        except BaseException:
            self._open.close()
            raise
        self.sandbox: SandboxClient = self.stack.sandbox
        self._numbers = 34700000000
        self.known_orphans = 0

    def close(self) -> None:
        """End everything."""
        self._open.close()

    def number(self) -> str:
        """Return the number of a new phone."""
        self._numbers += 1
        return str(self._numbers)

    def query(self, statement: str, *parameters: object, user: str | None = None) -> list[dict[str, Any]]:
        """Run one statement, as the database's owner or as Supabase's API would for a signed-in user."""
        with psycopg.connect(self.postgres.url(self.database), row_factory=dict_row) as connection:
            if user:
                claims = json.dumps({"sub": user, "role": "authenticated"})
                connection.execute("SELECT set_config('role', 'authenticated', true)")
                connection.execute("SELECT set_config('request.jwt.claims', %s, true)", (claims,))
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def without_postgres(self) -> Iterator[None]:
        """Crash Postgres, and start it again on the same port after the block."""
        self.postgres.halt()
        try:
            yield
        finally:
            self.postgres.resume()

    def drop_connections(self) -> None:
        """End every connection to the database, as a pooler's restart does."""
        self.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )

    @contextlib.contextmanager
    def refusing_postgres(self) -> Iterator[None]:
        """Have Postgres drop its clients and refuse new ones, as a full server does."""
        with psycopg.connect(self.postgres.url(), autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS false")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.database,))
            try:
                yield
            finally:
                admin.execute(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS true")

    @contextlib.contextmanager
    def slow_postgres(self) -> Iterator[None]:
        """Let every statement about attempts and devices wait."""
        with psycopg.connect(self.postgres.url(self.database)) as blocker:
            blocker.execute("LOCK TABLE whatsapp_private.attempts, whatsapp_private.devices IN ACCESS EXCLUSIVE MODE")
            yield
            blocker.rollback()

    @contextlib.contextmanager
    def frozen_postgres(self) -> Iterator[None]:
        """Freeze Postgres: connections stay open, and no call gets an answer."""
        self.postgres.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.postgres.signal(signal.SIGCONT)

    @cached_property
    def step_functions(self) -> Any:
        """A client of Step Functions."""
        return self.stack.aws("stepfunctions")

    @cached_property
    def workflow(self) -> dict[str, Any]:
        """The workflow as Step Functions describes it."""
        (machine,) = self.step_functions.list_state_machines()["stateMachines"]
        return dict(self.step_functions.describe_state_machine(stateMachineArn=machine["stateMachineArn"]))

    def running_executions(self) -> list[dict[str, Any]]:
        """Return the executions that have not ended."""
        arn = self.workflow["stateMachineArn"]
        return list(self.step_functions.list_executions(stateMachineArn=arn, statusFilter="RUNNING")["executions"])

    def clean(self) -> dict[str, int]:
        """Run the scheduled cleanup now and return what it found."""
        return self.stack.invoke("CleanupFunction")

    def busy(self, *names: str) -> list[dict[str, Any]]:
        """Return the busy instances of these functions, or of all functions."""
        instances = call("GET", f"{self.stack.url}/dev/functions").json()
        return [one for one in instances if one["busySince"] and (not names or one["name"] in names)]

    def pids(self, name: str) -> set[int]:
        """Return the process ids of a function's instances."""
        return {int(one["pid"]) for one in self.stack.instances(name)}

    def linker(self) -> int:
        """Wait for a busy linker and return its process id."""
        return int(until("a linker at work", lambda: self.busy("linker"), every=0.005)[0]["pid"])

    def engine(self) -> int:
        """Wait for the linker's engine and return its process id."""
        return until("an engine", lambda: psutil.Process(self.linker()).children())[0].pid

    def wait_for_socket(self, state: str) -> None:
        """Wait until the sandbox has a socket in that state."""
        until(f"a socket in {state}", lambda: [one for one in self.sandbox.state()["sockets"] if one["state"] == state])


def until(what: str, look: Callable[[], T], seconds: float = PATIENCE, every: float = 0.02) -> T:
    """Repeat ``look`` until its result is true, and return the result."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"no {what} within {seconds:.0f} s"
        time.sleep(every)
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send one process a signal, if the process still exists."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
