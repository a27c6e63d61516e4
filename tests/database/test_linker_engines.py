"""A linker starts another engine when its engine fails or falls silent."""

from __future__ import annotations

import pytest
from whatsapp_pairing.core.engine import (
    Died,
    Exhausted,
    Reached,
    Replaced,
    Synced,
    Unreachable,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import AFTER_SCAN_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.linker_scripts import HANGING, LOGIN, RESUME, connected
from tests.support.repositories import WINDOW, World
from tests.support.scripted_engine import (
    Stage,
    Step,
    online,
    qr,
    reached_qr,
    scan,
)

pytestmark = pytest.mark.usefixtures("no_jitter")


def test_a_crash_before_the_qr_gives_another_engine(world: World, secret: Secret) -> None:
    stage = Stage(
        world, [Died("boom")], [Reached(), 1.0, Died("boom")], [*reached_qr(secret), *scan(world, secret), *LOGIN]
    )
    assert stage.link() == "connected"
    connected(stage, secret)
    assert stage.started == ["pair"] * 3


def test_a_crash_after_the_qr_gives_another_device(world: World, secret: Secret) -> None:
    lost = Secret()
    stage = Stage(world, [*reached_qr(lost), 5.0, Died("boom")], [*reached_qr(secret), *scan(world, secret), *LOGIN])
    assert stage.link() == "connected"
    connected(stage, secret)
    assert stage.started == ["pair", "pair"]
    assert world.bound(lost)["state"] == "unlinking"


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_a_crash_after_the_scan_resumes_the_device(world: World, secret: Secret, told: bool) -> None:
    scanned = scan(world, secret) if told else scan(world, secret)[:1]
    stage = Stage(world, [*reached_qr(secret), 5.0, *scanned, Died("boom")], [Died("again")], LOGIN)
    assert stage.link() == "connected"
    connected(stage, secret)
    assert stage.started == ["pair", RESUME, RESUME]


def test_a_sync_of_one_engine_does_not_count_for_the_next(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret), Synced(), Died("boom")], [Reached(), online()])
    assert stage.link() == "connected"
    assert stage.clock.now > 15  # it waited for the sync of the second engine


def test_a_login_of_one_engine_does_not_count_for_the_next(world: World, secret: Secret) -> None:
    engines = [[*reached_qr(secret), *scan(world, secret), online(), Died("boom")], [Reached(), Synced()]]
    assert Stage(world, *engines, *HANGING).link() == Reason.LINKER_FAILED


@pytest.mark.parametrize("after", [Exhausted(), Replaced(), Unreachable()], ids=str)
def test_an_engine_that_ended_without_a_scan_is_replaced(world: World, secret: Secret, after: Step) -> None:
    stage = Stage(world, [*reached_qr(Secret()), 100.0, after], [*reached_qr(secret), *scan(world, secret), *LOGIN])
    assert stage.link() == "connected"
    connected(stage, secret)
    assert stage.started == ["pair", "pair"]


def test_an_engine_that_does_not_reach_whatsapp_is_replaced(world: World, secret: Secret) -> None:
    stage = Stage(world, [], [*reached_qr(secret), *scan(world, secret), *LOGIN])
    assert stage.link() == "connected"
    assert stage.started == ["pair", "pair"]
    assert 30 <= stage.closed_at[0] <= 33


@pytest.mark.parametrize("silent_after", [[], [Reached()]], ids=["dial", "login"])
def test_a_login_that_hangs_is_tried_again_with_the_same_device(
    world: World, secret: Secret, silent_after: list[Step]
) -> None:
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret)], silent_after, LOGIN)
    assert stage.link() == "connected"
    connected(stage, secret)
    assert stage.started == ["pair", RESUME, RESUME]
    assert stage.clock.now < 60


@pytest.mark.parametrize("end", [Exhausted(), Replaced(), Unreachable(), Died("boom")], ids=str)
def test_a_qr_is_hidden_when_its_engine_ends(world: World, end: Step) -> None:
    shown = []

    def look() -> None:
        session = world.sessions.get(stage.user)
        shown.append((session.status, session.qr is not None))

    stage = Stage(
        world, [*reached_qr(Secret()), 1.0, look, 4.0, end], [5.0, look, Reached(), look, *reached_qr(Secret()), look]
    )
    stage.link()
    assert shown == [(Status.WAITING_QR, True), *[(Status.CONNECTING, False)] * 2, (Status.WAITING_QR, True)]


def test_a_whatsapp_that_never_answers_is_unreachable(world: World) -> None:
    stage = Stage(world)
    assert stage.link() == Reason.WHATSAPP_UNREACHABLE
    assert len(stage.started) >= 4
    assert abs(stage.clock.now - WINDOW) < 3


def test_a_device_online_when_the_window_ends_is_connected(world: World, secret: Secret) -> None:
    scanned_at = 119.0
    stage = Stage(
        world, [Reached(), qr(secret), scanned_at, *scan(world, secret)], HANGING[0], [Reached(), 14.9, online()]
    )
    assert stage.link() == "connected"
    connected(stage, secret)
    assert scanned_at + AFTER_SCAN_SECONDS - 5 < stage.clock.now < scanned_at + AFTER_SCAN_SECONDS


def test_a_linker_waits_for_a_silent_whatsapp_until_the_deadline(world: World) -> None:
    stage = Stage(world, [Reached()])
    assert stage.link() == Reason.QR_TIMEOUT
    assert stage.started == ["pair"]
    assert abs(stage.clock.now - WINDOW) < 1


@pytest.mark.parametrize("ends", [Exhausted(), Unreachable(), Died("boom"), Replaced()], ids=str)
def test_engines_start_seldom_when_whatsapp_hangs_up_each_time(world: World, ends: Step) -> None:
    stage = Stage(world, *[[Reached(), 0.1, qr(Secret()), 0.1, ends] for _ in range(500)])
    assert stage.link() in (Reason.SCAN_TIMEOUT, Reason.WHATSAPP_UNREACHABLE)
    assert len(stage.started) < 60
    pauses = [start - end for end, start in zip(stage.closed_at, stage.started_at[1:], strict=False)]
    assert pauses[:5] == sorted(pauses[:5])
    assert min(pauses[5:-1]) > 4


def test_the_pauses_start_again_after_a_qr_that_lasted(world: World) -> None:
    short: list[Step] = [Reached(), qr(Secret()), 0.1, Exhausted()]
    stage = Stage(world, *[short] * 4, [Reached(), qr(Secret()), 61.0, Exhausted()], *[short] * 500)
    stage.link()
    pauses = [start - end for end, start in zip(stage.closed_at, stage.started_at[1:], strict=False)]
    assert pauses[3] > 1.9
    assert pauses[4] < 0.5


def test_whatsapp_that_comes_back_is_not_unreachable(world: World) -> None:
    stage = Stage(world, [Unreachable()], reached_qr(Secret()))
    assert stage.link() == Reason.SCAN_TIMEOUT
