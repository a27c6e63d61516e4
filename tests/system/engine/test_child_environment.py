"""The engine's process gets the variables that it needs, and nothing of AWS or of the operator's shell."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from whatsapp_engine.environment import ALLOWED
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.engine import DatabaseFailed, Died, Qr, Scanned

from infra.migrate.engine_tables import create_engine_tables
from tests.support.logins import login
from tests.support.sandbox_client import SandboxClient

EVENT_SECONDS = 60.0
LONG = 10.0**9  # by the monotonic clock: these engines need no lease
# RLIMIT_DATA of the child, and far less than what an HTTP server makes Go's driver allocate.
LIMIT, LITTLE = 1 << 30, 400 << 20

# What Lambda and an operator's shell hold.
OTHERS = {
    "AWS_ACCESS_KEY_ID": "s3cret", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_SESSION_TOKEN": "s3cret",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "s3cret", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/s3cret",
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "AWS_LAMBDA_FUNCTION_NAME": "linker", "AWS_REGION": "eu-west-1",
    "_HANDLER": "app.handler", "_X_AMZN_TRACE_ID": "Root=1-s3cret", "LAMBDA_TASK_ROOT": "/var/task",
    "DATABASE_SECRET_NAME": "s3cret", "ENGINE_DATABASE_URL": "postgresql://me:s3cret@host/db", "SUPABASE_URL": "https://s3cret",
    "PGPASSWORD": "s3cret", "PGHOST": "nowhere.invalid", "PGUSER": "s3cret", "PGAPPNAME": "s3cret",
    "GITHUB_TOKEN": "s3cret", "LD_PRELOAD": "", "PYTHONSTARTUP": "/s3cret", "GODEBUG": "netdns=go", "FOO": "s3cret",
}  # fmt: skip


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set these variables."""
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)


def variables(text: bytes) -> dict[str, str]:
    """The variables in a file of /proc."""
    return dict(item.split("=", 1) for item in text.decode().split("\0") if item)


@pytest.mark.usefixtures("led", "others")
def test_an_engine_at_work_has_the_listed_variables_only(
    migrated_url: str, sandbox: SandboxClient, number: str
) -> None:
    with ProcessEngine(lambda: login(migrated_url, "whatsapp_engine")).pair(LONG) as run:
        while not isinstance(event := run.next_event(EVENT_SECONDS), Scanned):
            assert event is not None
            assert not isinstance(event, DatabaseFailed | Died), event
            if isinstance(event, Qr):
                sandbox.scan(event.text, number)
        process = Path(f"/proc/{run.pid}")  # type: ignore[attr-defined]
        found = variables((process / "environ").read_bytes())
        limits, status = (process / "limits").read_text(), (process / "status").read_text()
    assert set(found) <= {*ALLOWED, "PYTHONPATH"}
    assert not set(found) & set(OTHERS)
    assert "s3cret" not in "".join(found.values())
    assert {"PATH", "PGCONNECT_TIMEOUT", "PYTHONPATH"} <= set(found)
    # A pairing stays far below the limit for its memory.
    (limit,) = (line.split()[3] for line in limits.splitlines() if line.startswith("Max data size"))
    (used,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmData"))
    assert int(limit) == LIMIT
    assert int(used) * 1024 < LIMIT / 2


@pytest.mark.usefixtures("others")
def test_the_migration_s_engine_has_the_listed_variables_only(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, seen = tmp_path / "python", tmp_path / "seen"
    program.write_text(f'#!/bin/sh\ncat /proc/$$/environ >> {seen}\nexec {sys.executable} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    from infra.migrate import up

    up(database_url)
    create_engine_tables(database_url)
    found = variables(seen.read_bytes())
    assert set(found) <= {*ALLOWED, "PYTHONPATH"}
    assert "s3cret" not in "".join(found.values())


def test_no_listed_variable_can_hold_a_credential() -> None:
    assert not {name for name in ALLOWED if name.startswith("AWS") or "KEY" in name or "TOKEN" in name}
    assert not set(ALLOWED) & set(OTHERS)


@pytest.fixture
def http_server() -> Iterator[int]:
    """The port of a server that answers everything as an HTTP server does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                client.recv(65536)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: keep-alive\r\n\r\n")
                kept.append(client)

        kept: list[socket.socket] = []
        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for client in kept:
            client.close()


def test_a_server_that_is_no_postgres_takes_no_memory(http_server: int) -> None:
    url = f"postgresql://me:s3cret@127.0.0.1:{http_server}/db?sslmode=disable"
    with ProcessEngine(lambda: url).pair(LONG) as run:
        deadline, largest = time.monotonic() + EVENT_SECONDS, 0
        while (event := run.next_event(0.1)) is None:
            assert time.monotonic() < deadline
            largest = max(largest, peak(getattr(run, "pid", 0)))
    assert isinstance(event, Died | DatabaseFailed)
    assert largest < LITTLE
    assert "s3cret" not in event.why


def peak(pid: int) -> int:
    """The most memory that the process has used, in bytes; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def test_the_environment_of_this_test_is_not_the_child_s() -> None:
    """A control: without the list, the child would inherit this process's variables."""
    assert set(os.environ) - {*ALLOWED, "PYTHONPATH"}


# It acts as a user other than root, who may read every process. A change of the user also hides a process, so the
# program makes itself visible first.
_HIDDEN = """
import ctypes, os, sys
from whatsapp_engine.process import ProcessEngine

def a_child_can_read(file):
    child = os.fork()
    if not child:
        try:
            open(f"/proc/{os.getppid()}/{file}", "rb").close()
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
assert a_child_can_read("environ")
sys.executable = "/bin/false"
with ProcessEngine().pair(1e9) as run:
    run.next_event(10)
for file in ("environ", "maps"):
    assert not a_child_can_read(file), file
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_an_engine_cannot_read_its_parents_variables() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", _HIDDEN], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
