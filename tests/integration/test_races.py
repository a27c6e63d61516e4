"""Two statements in the same moment, one waiting for the other: the second must see what the first has done."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.repository import attempts, leases
from whatsapp_pairing.repository.leases import Linked
from whatsapp_pairing.session import LEASE_SECONDS, LOGIN_SECONDS, MOST_PER_HOUR, OVERDUE_SECONDS, PAUSES, Phase, Status

from .world import LIMIT, WINDOW, Secret, World, login

JID = "5215550009:3@s.whatsapp.net"
T = TypeVar("T")


def behind(world: World, role: str, statement: str, then: Callable[[], T], **parameters: Any) -> T:
    """Run a statement, hold its locks until ``then`` waits for one of them, and return what ``then`` returns."""
    with (
        psycopg.connect(login(world.url, role), row_factory=dict_row) as first,
        ThreadPoolExecutor(1) as pool,
    ):
        assert first.execute(statement.encode(), parameters).fetchone()
        second = pool.submit(then)
        try:
            world.wait_for_a_blocked_backend()
        finally:
            first.commit()
        return second.result()


def qr(world: World) -> tuple[Secret, dict[str, Any]]:
    """A pairing that is about to show its first QR: the device, and the parameters of that."""
    attempt_id, secret = world.claim(), Secret()
    return secret, {
        "id": attempt_id, "lease": world.lease(attempt_id), "qr": secret.text(), "seconds": 60.0,
        "fingerprint": secret.fingerprint, "ttl": LEASE_SECONDS, "status": Status.WAITING_QR,
    }  # fmt: skip


def show_first(world: World, showing: dict[str, Any], then: Callable[[], T]) -> T:
    return behind(world, "whatsapp_worker", leases._SHOW_QR, then, **showing)


def test_a_disconnect_gives_up_the_device_whose_first_qr_is_just_being_shown(world: World) -> None:
    secret, showing = qr(world)
    user = world.attempt(showing["id"])["user_id"]
    world.store_keys(secret, JID)  # a phone that is very quick

    ended = show_first(world, showing, lambda: world.attempts.disconnect(user))

    assert ended.devices == [world.bound(secret)["id"]]
    assert world.bound(secret)["state"] == "unlinking"
    row = world.row(user)
    assert row
    assert (row["session_status"], row["qr_code"]) == ("disconnected", None)


def test_an_end_gives_up_the_device_whose_first_qr_is_just_being_shown(world: World) -> None:
    secret, showing = qr(world)
    attempt = world.attempts.get(showing["id"])
    assert attempt
    world.store_keys(secret, JID)

    devices = show_first(world, showing, lambda: world.attempts.end(attempt, Reason.QR_TIMEOUT))

    assert devices == [world.bound(secret)["id"]]
    assert world.bound(secret)["state"] == "unlinking"


def test_the_next_linker_holds_the_device_whose_first_qr_is_just_being_shown(world: World) -> None:
    secret, showing = qr(world)
    world.sql("UPDATE whatsapp_private.attempts SET lease_expires_at = now()")  # it is late: the lease is just over
    lease = uuid4()

    assert show_first(world, showing, lambda: world.leases.take(showing["id"], lease))

    assert world.bound(secret)["lease_id"] == lease


def test_a_connect_does_not_bring_back_what_is_just_being_disconnected(world: World) -> None:
    user, secret = world.user(), Secret()
    world.link(user, secret)

    behind(
        world, "whatsapp_api", attempts._DISCONNECT, lambda: world.attempts.show_linked(user),
        user=user, reason=Reason.CANCELLED,
    )  # fmt: skip

    assert world.bound(secret)["state"] == "unlinking"
    assert world.sessions.get(user).status is Status.DISCONNECTED


def test_a_click_that_a_disconnect_does_not_see_is_shown_all_the_same(world: World) -> None:
    user, attempt_id = world.user(), uuid4()
    world.claim(user)
    world.attempts.disconnect(user)
    world.age(3600)

    ended = behind(
        world, "whatsapp_api", attempts._CLAIM, lambda: world.attempts.disconnect(user),
        user=user, id=attempt_id, window=WINDOW, limit=LIMIT, pauses=list(PAUSES), most=MOST_PER_HOUR,
        overdue=OVERDUE_SECONDS, status=Status.CONNECTING, qr=None,
    )  # fmt: skip

    assert not ended.changed
    shown = world.sessions.get(user)
    assert shown.attempt
    assert (shown.status, shown.attempt.id) == (Status.CONNECTING, attempt_id)


def test_the_time_that_a_scan_buys_is_not_cut_by_the_window_that_opens_just_then(world: World) -> None:
    attempt_id, secret, short = world.claim(window=20.0), Secret(), 15.0
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)

    attempt = behind(
        world, "whatsapp_worker", leases._SCANNED,
        lambda: world.attempts.open_phase(attempt_id, Phase.AUTH, "token", short),
        id=attempt_id, lease=lease, fingerprint=secret.fingerprint, jid=JID, login=LOGIN_SECONDS,
        status=Status.WAITING_QR, qr=None,
    )  # fmt: skip

    assert attempt
    assert attempt.scanned
    assert attempt.remaining == pytest.approx(LOGIN_SECONDS, abs=11)


def test_a_scan_is_noted_whatever_window_opens_just_then(world: World) -> None:
    attempt_id, secret = world.claim(), Secret()
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)

    attempt = behind(
        world, "whatsapp_worker", attempts._OPEN_PHASE,
        lambda: world.leases.scanned(attempt_id, lease, Linked(JID, secret.fingerprint)),
        id=attempt_id, phase=Phase.AUTH, token="token", window=WINDOW,
    )  # fmt: skip

    assert attempt
    assert (attempt.phase, attempt.task_token, attempt.scanned) == (Phase.AUTH, "token", True)
