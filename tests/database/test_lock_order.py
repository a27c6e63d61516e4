"""Every state change locks the user, then the attempt, then the devices, and never the session row.

A test holds one of these locks, calls a function, and checks which locks the waiting function holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.errors import LockNotAvailable
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import Phase
from whatsapp_pairing.runtime.lease import LEASE_SECONDS

from tests.support.adv_secret import Secret
from tests.support.repositories import LIMIT, WINDOW, World, entered
from tests.support.shown_pairing import JID
from tests.support.stack import ROOT

pytestmark = pytest.mark.direct  # a pooler does not change the order
FUNCTIONS = ROOT / "migrations" / "functions"
LEVELS = ["user", "attempt", "device"]
HOLD = {
    "user": "SELECT pg_advisory_xact_lock(hashtextextended('whatsapp-pairing ' || id, 0)) FROM auth.users",
    "attempt": "SELECT FROM whatsapp_private.attempts FOR UPDATE",
    "device": "SELECT FROM whatsapp_private.devices FOR UPDATE",
    "row": "SELECT FROM public.whatsapp_sessions FOR UPDATE",
}
TRY = {
    "user": "SELECT pg_try_advisory_xact_lock(hashtextextended('whatsapp-pairing ' || id, 0)) FROM auth.users",
    "attempt": f"{HOLD['attempt']} NOWAIT",
    "device": f"{HOLD['device']} NOWAIT",
    "row": f"{HOLD['row']} NOWAIT",
}


class Scene:
    """A user whose phone has just scanned the QR, and the session row."""

    def __init__(self, world: World) -> None:
        self.world, self.user, self.secret = world, world.user(), Secret()
        self.attempt_id = world.claim(self.user)
        self.lease = world.lease(self.attempt_id)
        world.show(self.attempt_id, self.lease, self.secret)
        world.store_keys(self.secret, JID)
        world.show_row(self.user)
        self.deadline = world.attempts.get(self.attempt_id)

    def scan(self) -> None:
        """Let the linker report the scan."""
        assert self.world.leases.scanned(self.attempt_id, self.lease, JID)

    def open_phase(self) -> object:
        return self.world.attempts.open_phase(self.attempt_id, entered(Phase.QR, "token"), WINDOW)

    def lose_keys(self) -> None:
        """Let WhatsApp refuse the login of the device, and let the linker die before it reports that."""
        self.scan()
        self.world.drop_keys(JID)

    def end(self) -> object:
        """End the attempt as it was first read."""
        assert self.deadline
        return self.world.attempts.end(self.deadline, Reason.SCAN_TIMEOUT)

    def claim(self) -> object:
        """Click "Connect" again."""
        return self.world.attempts.claim(self.user, uuid4(), WINDOW, LIMIT)

    def start_unlinks(self) -> list[UUID]:
        """Choose the devices whose unlink is due."""
        return self.world.sweeps.start_unlinks(10)

    def take_device(self) -> object:
        """Take the device for an unlink."""
        return self.world.devices.take(self.world.bound(self.secret)["id"], self.lease)

    def forget(self) -> object:
        """Forget the device that an unlink has taken."""
        return self.world.devices.forget(self.world.bound(self.secret)["id"], self.lease)

    def take_after_the_end(self) -> None:
        """Take the device of an attempt that has ended."""
        self.ended()
        self.take_device()

    def ended(self) -> None:
        """End the attempt long ago."""
        self.end()
        self.world.age(1000)


Prepare = Callable[[Scene], object]


def nothing(_: Scene) -> None:
    """Change nothing: the call needs no preparation."""


CALLS: dict[str, tuple[Prepare, Prepare]] = {
    "claim_v1": (Scene.ended, Scene.claim),
    "open_phase_v1": (nothing, Scene.open_phase),
    "take_v1": (lambda it: it.world.age(LEASE_SECONDS), lambda it: it.world.leases.take(it.attempt_id, uuid4())),
    "renew_v1": (nothing, lambda it: it.world.leases.renew(it.attempt_id, it.lease)),
    "show_qr_v1": (Scene.lose_keys, lambda it: it.world.show(it.attempt_id, it.lease, Secret())),
    "scanned_v1": (nothing, Scene.scan),
    "connected_v1": (Scene.scan, lambda it: it.world.leases.connected(it.attempt_id, it.lease, JID)),
    "refuse_v1": (Scene.scan, lambda it: it.world.leases.refuse(it.attempt_id, it.lease, 0, JID)),
    "release_v1": (nothing, lambda it: it.world.leases.release(it.attempt_id, it.lease, None)),
    "let_go_v1": (nothing, lambda it: it.world.leases.let_go(it.attempt_id, it.lease)),
    "end_v1": (nothing, Scene.end),
    "disconnect_v1": (nothing, lambda it: it.world.attempts.disconnect(it.user)),
    "start_unlinks_v1": (Scene.ended, Scene.start_unlinks),
    "take_device_v1": (Scene.ended, Scene.take_device),
    "forget_v1": (Scene.take_after_the_end, Scene.forget),
    "give_up_unexplained_v1": (nothing, lambda it: it.world.sweeps.give_up_unexplained(10)),
    "forget_contacts_v1": (nothing, lambda it: it.world.sweeps.forget_contacts(10)),
    "count_contacts_v1": (nothing, lambda it: it.world.sweeps.count(90)),
    "session_v1": (nothing, lambda it: it.world.sessions.get(it.user)),
    "attempt_v1": (nothing, lambda it: it.world.attempts.get(it.attempt_id)),
}
# Functions that other functions or a trigger call, and the two functions about the session row.
INNER = {
    "lock_user_v1", "lock_attempt_v1", "holds_lease_v1", "newest_device_v1", "note_change_v1",
    "give_up_v1", "give_up_refused_v1", "given_up_with_keys_v1", "unlink_pause_v1",
    "show_session_v1", "note_shown_v1", "forget_number_v1", "keep_keys_apart_v1", "unexplained_keys_v1",
}  # fmt: skip


@contextmanager
def waiting(world: World, level: str, call: Callable[[], object]) -> Iterator[Future[object]]:
    """Hold the locks of one level, start a call, and yield when it waits for them or has ended."""
    with psycopg.connect(world.url) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute(HOLD[level].encode())
        called = pool.submit(call)
        try:
            world.wait_until(lambda: called.done() or blocked_by(world, holder))
            yield called
        finally:
            holder.rollback()
            assert called.exception() is None


def blocked_by(world: World, holder: psycopg.Connection[Any]) -> bool:
    waits: bool = world.value(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", holder.info.backend_pid
    )
    return waits


def held(world: World, level: str) -> bool:
    """Return whether a transaction has locked something of this level."""
    with psycopg.connect(world.url) as other:
        try:
            return (False,) in other.execute(TRY[level].encode()).fetchall()
        except LockNotAvailable:
            return True


def promised(function: str) -> list[str]:
    """Return the levels that the function's header names, in the header's order."""
    header = (FUNCTIONS / f"{function}.sql").read_text()
    (locks,) = re.findall(r"^-- Locks: (.+)\n", header, re.MULTILINE)
    return sorted((level for level in LEVELS if level in locks), key=locks.index)


@pytest.fixture(autouse=True)
def patient(world: World) -> Iterator[None]:
    """Raise the time limits of the two roles, so that a call waits for its lock even on a slow machine."""
    name = psycopg.conninfo.conninfo_to_dict(world.url)["dbname"]
    settings = [
        f"ALTER ROLE {role} IN DATABASE {name} {{}} {setting}"
        for role in ("whatsapp_api", "whatsapp_worker")
        for setting in ("lock_timeout", "statement_timeout")
    ]
    for setting in settings:
        world.sql(f"{setting.format('SET')} = '100s'")
    yield
    for setting in settings:
        world.sql(setting.format("RESET"))


@pytest.mark.parametrize("function", CALLS)
def test_a_function_locks_in_the_order_of_its_header(world: World, function: str) -> None:
    prepare, call = CALLS[function]
    taken: list[str] = []
    for level in LEVELS:
        world.empty()
        scene = Scene(world)
        prepare(scene)
        with waiting(world, level, lambda: call(scene)) as called:  # noqa: B023  called before the next round
            if called.done():
                continue
            later = LEVELS[LEVELS.index(level) + 1 :]
            assert [it for it in taken if not held(world, it)] == [], "a lock of an earlier level is not held"
            assert [it for it in [*later, "row"] if held(world, it)] == [], "a lock of a later level is held"
            taken.append(level)
    assert taken == promised(function) == sorted(taken, key=LEVELS.index)


@pytest.mark.parametrize("function", CALLS)
def test_no_function_waits_for_the_session_row(world: World, function: str) -> None:
    prepare, call = CALLS[function]
    scene = Scene(world)
    prepare(scene)
    with waiting(world, "row", lambda: call(scene)) as called:
        assert called.done()


def test_every_function_is_tried() -> None:
    files = {Path(it).stem for it in FUNCTIONS.glob("*.sql")}
    assert files == set(CALLS) | INNER
