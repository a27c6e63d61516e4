"""A linker keeps to the windows: it ends in time, and it waits long enough."""

from __future__ import annotations

import pytest
from whatsapp_pairing.core.engine import (
    Died,
    Exhausted,
    Reached,
    Unreachable,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import AFTER_SCAN_SECONDS, HANDOVER_SECONDS, HEARTBEAT_SECONDS

from tests.support.adv_secret import Secret
from tests.support.linker_scripts import HANGING, LOGIN, RESUME, connected
from tests.support.repositories import WINDOW, World
from tests.support.scripted_engine import (
    KilledError,
    Stage,
    Step,
    online,
    qr,
    qrs,
    reached_qr,
    scan,
)

pytestmark = pytest.mark.usefixtures("no_jitter")


def test_an_attempt_ends_when_its_qr_is_not_scanned(world: World) -> None:
    first, second = Secret(), Secret()
    stage = Stage(world, [Reached(), *qrs(first), Exhausted()], [Reached(), *qrs(second), Exhausted()])
    assert stage.link() == Reason.SCAN_TIMEOUT
    assert abs(stage.clock.now - WINDOW) < 1
    assert stage.workflow.calls[-1] == ("fail", "token-auth")
    assert stage.longest_silence() < HEARTBEAT_SECONDS


def test_whatsapp_that_refuses_every_connection_is_unreachable(world: World) -> None:
    stage = Stage(world, *[[0.05, Unreachable()] for _ in range(100)])
    assert stage.link() == Reason.WHATSAPP_UNREACHABLE
    assert abs(stage.clock.now - WINDOW) < 1
    assert stage.longest_silence() < HEARTBEAT_SECONDS
    assert len(stage.started) < 40


@pytest.mark.parametrize("moment", [20.0, 100.0])
def test_settling_reports_an_unreachable_whatsapp(world: World, moment: float) -> None:
    stage = Stage(world, *[[0.05, Unreachable()] for _ in range(100)])
    stage.scripts[-1].append(KilledError())
    ends: list[object] = []
    stage.clock.at(moment, lambda: world.age(WINDOW))
    stage.clock.at(moment, lambda: ends.append(stage.settle()))
    stage.link()
    assert ends == [Reason.WHATSAPP_UNREACHABLE]


def test_a_login_that_never_works_is_the_linkers_failure(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret)], *[[Reached(), Died("boom")] for _ in range(200)])
    assert stage.link() == Reason.LINKER_FAILED
    assert stage.clock.now < WINDOW + 1
    assert set(stage.started[1:]) == {RESUME}
    assert stage.settle("linker_failed") == Reason.LINKER_FAILED
    assert stage.workflow.of("call_unlinks")[-1] == [world.bound(secret)["id"]]


def test_a_scan_in_the_last_second_has_its_time_to_log_in(world: World, secret: Secret) -> None:
    waits: list[Step] = [qr(secret, number, 20) if odd else 20.0 for number in range(2, 7) for odd in (True, False)]
    stage = Stage(world, [Reached(), qr(secret), 59.0, *waits[:5], *scan(world, secret), 10.0, *LOGIN])
    assert stage.link() == "connected"
    scanned = [Reached(), qr(Secret("late")), 119.0, *scan(world, Secret("late"), "521:1@s.whatsapp.net")]
    late = Stage(world, scanned, *HANGING)
    assert late.link() == Reason.LINKER_FAILED
    assert WINDOW + AFTER_SCAN_SECONDS - 3 < late.clock.now < WINDOW + AFTER_SCAN_SECONDS + 3


def test_a_qr_in_the_last_moment_waits_for_the_workflow(world: World, secret: Secret) -> None:
    stage = Stage(
        world, [Reached(), WINDOW - 1.0, qr(secret), 30.0, *scan(world, secret), *LOGIN], workflow_seconds=3.0
    )
    assert stage.link() == "connected"
    connected(stage, secret)


def test_a_qr_in_the_last_moment_does_not_wait_for_ever(world: World, secret: Secret) -> None:
    stage = Stage(world, [Reached(), WINDOW - 1.0, qr(secret)], workflow_seconds=1000.0)
    assert stage.link() in (Reason.QR_TIMEOUT, Reason.LINKER_FAILED)
    assert abs(stage.clock.now - WINDOW - HANDOVER_SECONDS) < 1


def test_waiting_for_the_workflow_polls_seldom(world: World, secret: Secret) -> None:
    stage = Stage(world, [Reached(), WINDOW - 1.0, qr(secret)], workflow_seconds=1000.0)
    stage.link()
    assert stage.polls < 200


def test_waiting_for_the_sync_after_the_window_polls_seldom(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret), 10.0, online()])
    stage.clock.at(12.0, lambda: world.sql("UPDATE whatsapp_private.attempts SET deadline = now()"))
    assert stage.link() == "connected"
    assert stage.polls < 200
