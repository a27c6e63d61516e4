"""A linker pairs, or ends the attempt when WhatsApp refuses."""

from __future__ import annotations

import pytest
from whatsapp_pairing.core.engine import (
    Reached,
    Refused,
    Synced,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.linker_scripts import LOGIN, connected
from tests.support.repositories import World
from tests.support.scripted_engine import (
    Stage,
    Step,
    online,
    qr,
    reached_qr,
    removed,
    scan,
)

pytestmark = pytest.mark.usefixtures("no_jitter")


@pytest.mark.parametrize("last", [[online(), 1.0, Synced()], [Synced(), 1.0, online()]], ids=["online", "synced"])
def test_a_scan_connects_in_either_order_of_online_and_synced(world: World, secret: Secret, last: list[Step]) -> None:
    stage = Stage(world, [*reached_qr(secret), 5.0, *scan(world, secret), 1.0, *last])

    assert stage.link() == "connected"

    connected(stage, secret)
    assert stage.started == ["pair"]
    assert [call for call in stage.workflow.calls if call[0] != "heartbeat"] == [
        ("succeed", "token-qr"),
        ("succeed", "token-auth"),
    ]


def test_a_linker_reports_its_first_heartbeat_at_once(world: World, secret: Secret) -> None:
    beats: list[int] = []
    first: list[Step] = [lambda: beats.append(len(stage.workflow.of("heartbeat")))]
    stage = Stage(world, [*first, *reached_qr(secret), *scan(world, secret), *LOGIN])
    assert stage.link() == "connected"
    assert beats == [1]


def test_a_wait_that_opens_after_the_last_renewal_is_answered(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret), *LOGIN], workflow_seconds=0.5)
    assert stage.link() == "connected"
    connected(stage, secret)
    assert stage.clock.now < 2.5


def test_a_qr_that_comes_after_90_seconds_still_pairs(world: World, secret: Secret) -> None:
    stage = Stage(world, [Reached(), 90.0, qr(secret), 100.0, *scan(world, secret), *LOGIN])
    assert stage.link() == "connected"
    connected(stage, secret)
    assert stage.clock.now > 190


def test_a_linker_waits_only_briefly_for_a_sync(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret), online()])
    assert stage.link() == "connected"
    assert stage.clock.now < 20


def test_each_qr_is_shown_and_the_wait_is_answered_once(world: World, secret: Secret) -> None:
    shown: list[str | None] = []

    def look() -> None:
        shown.append(world.sessions.get(stage.user).qr)

    stage = Stage(world)
    stage.scripts.append([Reached(), qr(secret), 60.0, look, qr(secret, 2), 20.0, look, *scan(world, secret), *LOGIN])

    assert stage.link() == "connected"
    assert shown == [secret.text(1), secret.text(2)]
    assert stage.workflow.of("succeed") == ["token-qr", "token-auth"]


def test_a_second_linker_is_not_needed(world: World, secret: Secret) -> None:
    answers: list[str] = []
    stage = Stage(world)
    stage.scripts.append([*reached_qr(secret), lambda: answers.append(stage.link()), *scan(world, secret), *LOGIN])
    assert stage.link() == "connected"
    assert answers == ["not_needed"]
    assert stage.link() == "not_needed"
    assert stage.started == ["pair"]


# The linker measures the windows, so the engine reports no timeout. A rejected pairing gets another QR.
NOT_FINAL = (Reason.QR_TIMEOUT, Reason.SCAN_TIMEOUT, Reason.SCAN_NOT_REPEATED, Reason.PAIRING_REJECTED)


def test_a_device_removed_before_it_was_online_is_replaced(world: World, secret: Secret) -> None:
    other = "5215550009:4@s.whatsapp.net"
    gone = Secret()
    stage = Stage(
        world,
        [*reached_qr(gone), *scan(world, gone), 1.0, *removed(world)],
        [*reached_qr(secret), *scan(world, secret, other), online(other), Synced()],
    )
    assert stage.link() == "connected"
    connected(stage, secret)
    assert stage.started == ["pair", "pair"]
    assert world.bound(gone)["state"] == "unlinking"


def test_a_device_removed_while_online_ends_the_attempt(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret), online(), 1.0, *removed(world)])
    assert stage.link() == Reason.UNLINKED_FROM_PHONE
    assert stage.workflow.calls[-1] == ("fail", "token-auth")
    assert stage.settle("unlinked_from_phone") == Reason.UNLINKED_FROM_PHONE
    assert world.sessions.get(stage.user).status is Status.DISCONNECTED


@pytest.mark.parametrize("scanned", [False, True])
@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in NOT_FINAL])
def test_a_refusal_is_final(world: World, secret: Secret, reason: Reason, scanned: bool) -> None:
    before = [*reached_qr(secret), *(scan(world, secret) if scanned else [])]
    stage = Stage(world, [*before, Refused(reason)])

    assert stage.link() == reason

    assert stage.workflow.calls[-1] == ("fail", "token-auth")
    attempt = world.attempts.get(stage.attempt_id)
    assert attempt is not None
    assert (attempt.verdict, attempt.outcome, attempt.alive) == (reason, None, False)
    assert stage.link() == "not_needed"
    assert stage.settle() == reason
    unlinked = [world.bound(secret)["id"]] if scanned else []
    assert stage.workflow.of("call_unlinks")[-1] == unlinked
    assert world.sessions.get(stage.user).reason is reason
