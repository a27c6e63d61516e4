"""No engine outlives its lease, even when the holder of the lease or its database hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import psutil
import pytest
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.engine import Online, Qr, Reached, Scanned, Synced

from tests.support.adv_secret import Secret
from tests.support.databases import admin, transaction_pooler, way, world
from tests.support.logins import connect, login
from tests.support.repositories import World
from tests.support.sandbox_client import SandboxClient
from tests.support.stack import PATIENCE_SECONDS, ROOT

pytestmark = pytest.mark.usefixtures("led")

__all__ = ["admin", "transaction_pooler", "way", "world"]

_HOLDER = ROOT / "tests" / "support" / "lease_holder.py"

Holds = Callable[..., psutil.Process]


@pytest.fixture
def holds(world: World) -> Iterator[Holds]:
    """Start a linker or an unlink. It ends with the test, together with its engine."""
    started: list[subprocess.Popen[bytes]] = []

    def start(task: str, number: UUID) -> psutil.Process:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        urls = [login(world.url, role) for role in ("whatsapp_worker", "whatsapp_engine")]
        started.append(subprocess.Popen([sys.executable, str(_HOLDER), task, str(number), *urls], env=environment))
        return psutil.Process(started[-1].pid)

    yield start
    for one in started:
        one.kill()
        one.wait()


def until(holds: Callable[[], object]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(process: psutil.Process) -> bool:
    """Whether a process has ended. Its parent may be frozen and not have noticed."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def stopped(world: World, holder: psutil.Process, table: str) -> Callable[[], bool]:
    """Freeze the holder. Return a function that says whether its lease has expired."""
    holder.send_signal(signal.SIGSTOP)
    statement = f"SELECT lease_expires_at <= clock_timestamp() AS over FROM {table} WHERE lease_id IS NOT NULL"
    return lambda: world.value(statement)


@contextmanager
def locked(world: World, table: str) -> Iterator[Callable[[], bool]]:
    """Let every call about this table wait. Return a function that says whether the lease has expired."""
    statement = f"SELECT lease_expires_at <= clock_timestamp() AS over FROM {table} WHERE lease_id IS NOT NULL"
    with connect(world.url) as owner, owner.transaction():
        owner.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield lambda: bool(owner.execute(statement.encode()).fetchone()["over"])  # type: ignore[index]


def pairing(world: World, holds: Holds) -> tuple[psutil.Process, psutil.Process]:
    """A linker whose QR shows, and its engine."""
    attempt = world.claim()
    linker = holds("link", attempt)
    until(lambda: world.attempt(attempt)["qr_shown_at"])
    (engine,) = linker.children()
    return linker, engine


def test_a_stopped_linker_leaves_no_engine_behind(world: World, holds: Holds) -> None:
    linker, engine = pairing(world, holds)
    lease_is_over = stopped(world, linker, "whatsapp_private.attempts")
    until(lease_is_over)
    assert ended(engine)
    assert linker.status() == psutil.STATUS_STOPPED


def test_an_engine_ends_when_its_linker_waits_for_postgres(world: World, holds: Holds) -> None:
    _, engine = pairing(world, holds)
    with locked(world, "whatsapp_private.attempts") as lease_is_over:
        until(lease_is_over)
        assert ended(engine)


def test_a_linker_that_renews_its_lease_keeps_its_engine(world: World, holds: Holds) -> None:
    linker, engine = pairing(world, holds)
    first = world.value("SELECT max(lease_expires_at) FROM whatsapp_private.attempts")
    until(lambda: world.value("SELECT now() > %s::timestamptz + interval '3 s'", first))
    assert linker.children() == [engine]


def test_a_stopped_unlink_leaves_no_engine_behind(
    world: World, holds: Holds, sandbox: SandboxClient, number: str
) -> None:
    user, jid = world.user(), pair(world, sandbox, number)
    world.link(user, Secret())
    world.sql(
        "UPDATE whatsapp_private.devices d SET jid = e.jid, fingerprint = sha256(e.adv_key) "
        "FROM whatsapp_engine.whatsmeow_device e WHERE e.jid = %s",
        jid,
    )
    (device,) = world.attempts.disconnect(user).devices
    sandbox.set_knobs(loginDelaySeconds=3600)
    unlink = holds("unlink", device)
    until(lambda: [socket for socket in sandbox.state()["sockets"] if socket["state"] != "pairing"])
    (engine,) = unlink.children()

    lease_is_over = stopped(world, unlink, "whatsapp_private.devices")
    until(lease_is_over)

    assert ended(engine)
    assert unlink.status() == psutil.STATUS_STOPPED


def pair(world: World, sandbox: SandboxClient, number: str) -> str:
    """Link a device and end its engine."""
    engine = ProcessEngine(lambda: login(world.url, "whatsapp_engine"))
    with engine.pair(time.monotonic() + PATIENCE_SECONDS) as run:
        while not isinstance(event := run.next_event(PATIENCE_SECONDS), Online):
            assert isinstance(event, Reached | Qr | Scanned | Synced), event
            if isinstance(event, Qr):
                sandbox.scan(event.text, number)
    return event.jid
