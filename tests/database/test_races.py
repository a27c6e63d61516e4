"""Two calls for one user at the same moment: the second waits, and then sees the changes of the first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from whatsapp_pairing.core.errors import Unauthorized
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import AFTER_SCAN_SECONDS, MOST_PER_HOUR, PAUSES, Phase
from whatsapp_pairing.runtime.lease import LEASE_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.logins import login
from tests.support.repositories import LIMIT, WINDOW, World, entered
from tests.support.shown_pairing import JID

T = TypeVar("T")


def behind(world: World, role: str, function: str, arguments: list[object], then: Callable[[], T]) -> T:
    """Call a function, hold its locks until ``then`` waits for one of them, and return what ``then`` returns."""
    places = ", ".join(["%s"] * len(arguments))
    with (
        psycopg.connect(login(world.url, role), row_factory=dict_row) as first,
        ThreadPoolExecutor(1) as pool,
    ):
        assert first.execute(f"SELECT whatsapp_private.{function}({places})".encode(), arguments).fetchone()
        second = pool.submit(then)
        try:
            world.wait_for_a_blocked_backend()
        finally:
            first.commit()
        return second.result()


class FirstQr:
    """A pairing that is about to show its first QR."""

    def __init__(self, world: World) -> None:
        self.world, self.secret = world, Secret()
        self.user = world.user()
        self.attempt_id = world.claim(self.user)
        self.lease = world.lease(self.attempt_id)

    def scanned_behind(self, then: Callable[[], T]) -> T:
        """Show the QR, let a phone scan it at once, and call ``then`` before the QR is committed."""

        def scan() -> T:
            self.world.store_keys(self.secret, JID)
            return then()

        return self.behind(scan)

    def behind(self, then: Callable[[], T]) -> T:
        """Show the QR, and call ``then`` before the QR is committed."""
        qr = [self.secret.text(), 60.0, self.secret.fingerprint, None]
        arguments = [self.attempt_id, self.lease, LEASE_SECONDS, *qr]
        return behind(self.world, "whatsapp_worker", "show_qr_v1", arguments, then)


@pytest.fixture
def first_qr(world: World) -> FirstQr:
    return FirstQr(world)


def test_a_disconnect_gives_up_the_device_of_a_qr_just_shown(world: World, first_qr: FirstQr) -> None:
    ended = first_qr.scanned_behind(lambda: world.attempts.disconnect(first_qr.user))

    assert ended.devices == [world.bound(first_qr.secret)["id"]]
    assert world.bound(first_qr.secret)["state"] == "unlinking"
    assert world.sessions.get(first_qr.user).status is Status.DISCONNECTED


def test_an_end_gives_up_the_device_of_a_qr_just_shown(world: World, first_qr: FirstQr) -> None:
    attempt = world.attempts.get(first_qr.attempt_id)
    assert attempt

    assert first_qr.scanned_behind(lambda: world.attempts.end(attempt, Reason.QR_TIMEOUT)) is None

    scanned = world.attempts.get(first_qr.attempt_id)
    assert scanned
    ended = world.attempts.end(scanned, Reason.LINKER_FAILED)
    assert ended
    assert ended.devices == [world.bound(first_qr.secret)["id"]]
    assert world.bound(first_qr.secret)["state"] == "unlinking"


def test_a_linker_that_has_just_shown_a_qr_is_not_replaced(world: World, first_qr: FirstQr) -> None:
    world.sql(
        "UPDATE whatsapp_private.attempts SET lease_expires_at = now()"
    )  # the linker is late: its lease is just over

    assert first_qr.behind(lambda: world.leases.take(first_qr.attempt_id, uuid4())) is None

    assert world.attempt(first_qr.attempt_id)["lease_id"] == first_qr.lease
    assert world.bound(first_qr.secret)["lease_id"] == first_qr.lease


def claiming(user: UUID, attempt_id: UUID) -> list[object]:
    return [user, attempt_id, WINDOW, LIMIT, [float(pause) for pause in PAUSES], MOST_PER_HOUR]


def test_a_click_does_not_revive_a_disconnect_in_progress(world: World) -> None:
    user, secret = world.user(), Secret()
    world.link(user, secret)
    world.age(3600)

    claim = behind(
        world, "whatsapp_api", "disconnect_v1", [uuid4(), user, "cancelled"],
        lambda: world.attempts.claim(user, uuid4(), WINDOW, LIMIT),
    )  # fmt: skip

    assert (claim.claimed, claim.linked) == (True, False)
    assert world.bound(secret)["state"] == "unlinking"
    row = world.show_row(user)
    assert row
    assert row["session_status"] == "connecting"


def test_a_disconnect_ends_the_click_that_came_just_before(world: World) -> None:
    user, attempt_id = world.user(), uuid4()
    world.claim(user)
    world.attempts.disconnect(user)
    world.age(3600)

    ended = behind(
        world, "whatsapp_api", "claim_v1", claiming(user, attempt_id), lambda: world.attempts.disconnect(user)
    )

    assert ended.changed
    assert world.attempt(attempt_id)["outcome"] == "cancelled"


def test_a_scan_keeps_its_time_when_the_window_opens_just_then(world: World) -> None:
    user, secret, short = world.user(), Secret(), 15.0
    attempt_id = world.claim(user, window=20.0)
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.store_keys(secret, JID)

    attempt = behind(
        world, "whatsapp_worker", "scanned_v1", [attempt_id, lease, JID, AFTER_SCAN_SECONDS],
        lambda: world.attempts.open_phase(attempt_id, entered(Phase.AUTH, "token"), short),
    )  # fmt: skip

    assert attempt
    assert attempt.scanned
    assert attempt.remaining == pytest.approx(AFTER_SCAN_SECONDS, abs=11)


def test_a_scan_is_noted_while_the_scan_window_opens(world: World) -> None:
    attempt_id, secret = world.claim(), Secret()
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.store_keys(secret, JID)

    attempt = behind(
        world, "whatsapp_worker", "open_phase_v1", [attempt_id, Phase.AUTH, "token", datetime.now(UTC), WINDOW],
        lambda: world.leases.scanned(attempt_id, lease, JID),
    )  # fmt: skip

    assert attempt
    assert (attempt.phase, attempt.task_token, attempt.scanned) == (Phase.AUTH, "token", True)


class Deletion:
    """A user whose phone has scanned a QR, and who will be deleted."""

    def __init__(self, world: World) -> None:
        self.world, self.secret = world, Secret()
        self.user = world.user()
        self.attempt_id = world.claim(self.user)
        self.lease = world.lease(self.attempt_id)
        world.show(self.attempt_id, self.lease, self.secret)
        world.store_keys(self.secret, JID)
        attempt = world.attempts.get(self.attempt_id)
        assert attempt
        self.attempt = attempt


CHANGES: dict[str, Callable[[Deletion], object]] = {
    "claim": lambda one: one.world.attempts.claim(one.user, uuid4(), WINDOW, LIMIT),
    "open_phase": lambda one: one.world.attempts.open_phase(one.attempt_id, entered(Phase.AUTH, "token"), WINDOW),
    "end": lambda one: one.world.attempts.end(one.attempt, Reason.QR_TIMEOUT),
    "disconnect": lambda one: one.world.attempts.disconnect(one.user).changed,
    "take": lambda one: one.world.leases.take(one.attempt_id, one.lease),
    "renew": lambda one: one.world.leases.renew(one.attempt_id, one.lease),
    "show_qr": lambda one: one.world.show(one.attempt_id, one.lease, Secret()),
    "scanned": lambda one: one.world.leases.scanned(one.attempt_id, one.lease, JID),
    "connected": lambda one: one.world.leases.connected(one.attempt_id, one.lease, JID),
    "release": lambda one: one.world.leases.release(one.attempt_id, one.lease, None),
    "let_go": lambda one: one.world.leases.let_go(one.attempt_id, one.lease),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_waits_for_a_deletion_holds_no_row(world: World, change: str) -> None:
    """A deletion locks the user, then the user's rows. If a waiting change held such a row, both would deadlock."""
    one = Deletion(world)
    with psycopg.connect(world.url) as deletion, ThreadPoolExecutor(1) as pool:
        deletion.execute("SELECT FROM auth.users WHERE id = %s FOR UPDATE", (one.user,))  # as DELETE does
        changed = pool.submit(CHANGES[change], one)
        try:
            world.wait_for_a_blocked_backend()
            for table in ("attempts", "devices", "sessions"):
                deletion.execute(f"SELECT FROM whatsapp_private.{table} FOR UPDATE NOWAIT".encode())
            deletion.execute("DELETE FROM auth.users WHERE id = %s", (one.user,))
        finally:
            deletion.commit()
        if change == "claim":
            with pytest.raises(Unauthorized):
                changed.result()
        else:
            assert not changed.result()
    assert world.bound(one.secret)["user_id"] is None
