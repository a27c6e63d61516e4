"""The linker's loop through every order of events."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whatsapp_pairing.core.engine import (
    Died,
    Exhausted,
    LoggedOut,
    Online,
    Reached,
    Refused,
    Replaced,
    StoreFailed,
    Synced,
    Unreachable,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import HANDOVER_SECONDS, HEARTBEAT_SECONDS, LOGIN_SECONDS, Attempt, Phase
from whatsapp_pairing.runtime.lease import LEASE_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.metrics import metrics_in, values
from tests.support.repositories import WINDOW, World
from tests.support.scripted_engine import JID, Stage, Step, online, outcome_of, qr, qrs, reached_qr, removed, scan

RESUME = f"resume {JID}"
LOGIN: list[Step] = [Reached(), 0.3, online(), 0.5, Synced()]
# The engine reports none of the timeouts: they follow from the window. A rejected pairing gets another QR.
NOT_FINAL = (Reason.QR_TIMEOUT, Reason.SCAN_TIMEOUT, Reason.SCAN_NOT_REPEATED, Reason.PAIRING_REJECTED)
# One engine after another that reaches WhatsApp and hears no more, for longer than a login may take.
HANGING: list[list[Step]] = [[Reached()] for _ in range(8)]


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longest pauses: what must hold for them holds for all."""
    monkeypatch.setattr(random, "random", lambda: 0.0)


@pytest.fixture
def secret() -> Secret:
    """A device's secret."""
    return Secret()


def connected(stage: Stage, secret: Secret) -> None:
    """The pairing is complete and nothing of it is left but the device."""
    session, device = stage.world.sessions.get(stage.user), stage.world.bound(secret)
    assert (session.status, session.phone_number) == (Status.CONNECTED, "5215550009")
    assert outcome_of(stage.world, stage.attempt_id) == "connected"
    assert (device["state"], device["lease_id"]) == ("linked", None)
    assert stage.workflow.calls[-1] == ("succeed", "token-auth")
    assert not stage.open
    assert stage.longest_silence() < HEARTBEAT_SECONDS


# ── it connects ──


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


# ── engines that fail ──


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
    assert stage.clock.now > 15  # it waited for the second engine's own


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
    assert scanned_at + LOGIN_SECONDS - 5 < stage.clock.now < scanned_at + LOGIN_SECONDS


def test_a_linker_waits_for_a_silent_whatsapp_until_the_deadline(world: World) -> None:
    stage = Stage(world, [Reached()])
    assert stage.link() == Reason.QR_TIMEOUT
    assert stage.started == ["pair"]
    assert abs(stage.clock.now - WINDOW) < 1


# ── linkers that die ──


class KilledError(BaseException):
    """kill -9: no handler of ours runs."""


@pytest.mark.parametrize("step", ["dialling", "shown", "stored", "scanned", "online"])
def test_a_killed_linker_is_replaced_when_its_lease_is_over(world: World, secret: Secret, step: str) -> None:
    steps: dict[str, list[Step]] = {
        "dialling": [],
        "shown": reached_qr(Secret()),
        "stored": [*reached_qr(secret), *scan(world, secret)[:1]],
        "scanned": [*reached_qr(secret), *scan(world, secret)],
        "online": [*reached_qr(secret), *scan(world, secret), online()],
    }
    stage = Stage(world, [*steps[step], KilledError()])
    with pytest.raises(KilledError):
        stage.link()
    assert stage.link() == "not_needed"
    stage.clock.sleep(LEASE_SECONDS + 1)

    fresh = step in ("dialling", "shown")
    stage.scripts.append([*reached_qr(secret), *scan(world, secret), *LOGIN] if fresh else LOGIN)
    assert stage.link() == "connected"

    assert stage.started == (["pair", "pair"] if fresh else ["pair", RESUME])
    assert world.bound(secret)["state"] == "linked"


def test_a_linker_that_fails_frees_its_lease_at_once(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret), OSError("no more processes")], LOGIN)
    with pytest.raises(OSError, match="no more processes"):
        stage.link()
    assert stage.link() == "connected"
    assert stage.started == ["pair", RESUME]


def test_a_second_linker_is_not_needed(world: World, secret: Secret) -> None:
    answers: list[str] = []
    stage = Stage(world)
    stage.scripts.append([*reached_qr(secret), lambda: answers.append(stage.link()), *scan(world, secret), *LOGIN])
    assert stage.link() == "connected"
    assert answers == ["not_needed"]
    assert stage.link() == "not_needed"
    assert stage.started == ["pair"]


# ── WhatsApp says no ──


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


# ── the QR of an earlier linker is scanned ──


EARLIER = "5215550009:8@s.whatsapp.net"


def earlier_linker(stage: Stage) -> Secret:
    """A linker that has shown a QR, and hangs until its lease is over. Its engine lives on."""
    secret = Secret()
    stage.world.show(stage.attempt_id, stage.world.lease(stage.attempt_id), secret)
    stage.clock.sleep(LEASE_SECONDS + 1)
    return secret


def test_a_device_that_an_earlier_engine_has_stored_is_resumed(world: World, secret: Secret) -> None:
    login: list[Step] = [Reached(), 0.3, online(EARLIER), 0.5, Synced()]
    stage = Stage(world, [*reached_qr(secret), 200.0], login)
    earlier = earlier_linker(stage)
    stage.clock.at(stage.clock.now + 20, lambda: world.store_keys(earlier, EARLIER))

    assert stage.link() == "connected"

    assert stage.started == ["pair", f"resume {EARLIER}"]
    assert stage.clock.now < 20 + 20, "the keys are noticed with the next renewal"
    assert world.sessions.get(stage.user).status is Status.CONNECTED
    assert (world.bound(earlier)["state"], world.bound(secret)["state"]) == ("linked", "unlinking")


def test_a_scan_of_an_earlier_qr_in_the_last_moment_is_resumed(world: World, secret: Secret) -> None:
    """The window ends between two renewals: the linker looks once more before it says that nobody has scanned."""
    login: list[Step] = [Reached(), 0.3, online(EARLIER), 0.5, Synced()]
    stage = Stage(world, [*reached_qr(secret), 200.0], login)
    earlier = earlier_linker(stage)
    stage.open_wait(Phase.AUTH)
    renew = stage.leases.renew

    def scan_before_the_last_look(attempt_id: UUID, lease: UUID, *arguments: Any, **named: Any) -> Attempt | None:
        read = world.attempts.get(attempt_id)
        if read and read.remaining <= 0 and read.stored_jid is None:
            world.store_keys(earlier, EARLIER)
        return renew(attempt_id, lease, *arguments, **named)

    stage.leases.renew = scan_before_the_last_look  # type: ignore[method-assign]

    assert stage.link() == "connected"

    assert world.bound(earlier)["state"] == "linked"


def test_a_scan_whose_event_is_late_keeps_its_engine(world: World, secret: Secret) -> None:
    """whatsmeow stores the keys before it reports the scan, and a renewal may come in between."""
    stage = Stage(world, [*reached_qr(secret), lambda: world.store_keys(secret, JID), 6.0, *LOGIN])

    assert stage.link() == "connected"

    assert stage.started == ["pair"]
    connected(stage, secret)


def test_two_scanned_devices_leave_one_linked_and_one_unlinked(world: World, secret: Secret) -> None:
    """The person scans the QR of both linkers. The unlink of the device that is not linked starts at once."""
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret), *LOGIN])
    earlier = earlier_linker(stage)
    stage.clock.at(stage.clock.now + 0.2, lambda: world.store_keys(earlier, EARLIER))

    assert stage.link() == "connected"

    assert world.bound(secret)["state"] == "linked"
    assert world.bound(earlier)["state"] == "unlinking"
    assert stage.workflow.calls[-1] == ("call_unlinks", [world.bound(earlier)["id"]])


def test_an_attempt_with_stored_keys_never_ends_as_not_scanned(world: World) -> None:
    """All linkers are gone when the phone scans, and the workflow settles."""
    stage = Stage(world)
    earlier = earlier_linker(stage)
    stage.open_wait(Phase.AUTH)
    stage.clock.sleep(WINDOW + 1)
    read = world.attempts.get(stage.attempt_id)
    assert read
    world.store_keys(earlier, EARLIER)

    assert world.attempts.end(read, Reason.SCAN_TIMEOUT) is None, "it has changed since it was read"
    assert stage.settle() == Reason.LINKER_FAILED

    assert stage.workflow.of("call_unlinks")[-1] == [world.bound(earlier)["id"]]


def test_an_end_does_not_overwrite_a_verdict_that_came_meanwhile(world: World) -> None:
    stage = Stage(world)
    lease = world.lease(stage.attempt_id)
    read = world.attempts.get(stage.attempt_id)
    assert read
    world.leases.release(stage.attempt_id, lease, Reason.ACCOUNT_BANNED)

    assert world.attempts.end(read, Reason.QR_TIMEOUT) is None
    assert stage.settle() == Reason.ACCOUNT_BANNED


# ── windows ──


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


def test_a_store_that_fails_ends_the_attempt_at_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage(world, [1.0, StoreFailed("SQLSTATE 28P01")])
    assert stage.link() == Reason.LINKER_FAILED
    assert (stage.started, stage.clock.now) == (["pair"], 1.0)
    assert stage.workflow.calls[-1] == ("fail", "token-qr")
    assert values(metrics_in(capsys.readouterr().out), "EngineStoreFailed") == [1]
    assert stage.settle("Decided") == Reason.LINKER_FAILED


def test_a_store_that_comes_back_does_not_end_the_attempt(world: World, secret: Secret) -> None:
    away: list[list[Step]] = [[0.5, StoreFailed("SQLSTATE 53300", passes=True)] for _ in range(3)]
    stage = Stage(world, *away, [*reached_qr(secret), *scan(world, secret), StoreFailed("57P01", True)], *away, LOGIN)
    assert stage.link() == "connected"
    connected(stage, secret)


def test_a_store_that_stays_away_ends_the_attempt_as_our_fault(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(world, *[[0.5, StoreFailed("SQLSTATE 53300", passes=True)] for _ in range(200)])
    assert stage.link() == Reason.LINKER_FAILED
    assert 15 <= stage.clock.now < 25
    assert values(metrics_in(capsys.readouterr().out), "EngineStoreFailed") == [1]


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


@pytest.mark.parametrize("moment", [20.0, 100.0])
def test_settling_reports_an_unreachable_whatsapp(world: World, moment: float) -> None:
    stage = Stage(world, *[[0.05, Unreachable()] for _ in range(100)])
    stage.scripts[-1].append(KilledError())
    ends: list[object] = []
    stage.clock.at(moment, lambda: world.age(WINDOW))
    stage.clock.at(moment, lambda: ends.append(stage.settle()))
    stage.link()
    assert ends == [Reason.WHATSAPP_UNREACHABLE]


def test_whatsapp_that_comes_back_is_not_unreachable(world: World) -> None:
    stage = Stage(world, [Unreachable()], reached_qr(Secret()))
    assert stage.link() == Reason.SCAN_TIMEOUT


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
    assert WINDOW + LOGIN_SECONDS - 3 < late.clock.now < WINDOW + LOGIN_SECONDS + 3


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


# ── others act meanwhile ──


@pytest.mark.parametrize("scanned", [False, True])
def test_a_linker_lets_go_of_a_cancelled_attempt_in_a_renewal(world: World, secret: Secret, scanned: bool) -> None:
    stage = Stage(world, [*reached_qr(secret), *(scan(world, secret) if scanned else [])])
    tables = ("whatsapp_private.attempts", "public.whatsapp_sessions")
    seen: list[object] = []
    stage.clock.at(10.0, stage.disconnect)
    stage.clock.at(10.0, lambda: seen.append(world.sessions.get(stage.user)))

    assert stage.link() == "lost"

    assert stage.clock.now <= 13
    assert not stage.open
    assert seen == [world.sessions.get(stage.user)]
    assert outcome_of(world, stage.attempt_id) == "cancelled"
    assert world.snapshot(*tables)
    if scanned:
        assert world.bound(secret)["id"] in stage.workflow.of("call_unlinks")[0]


@pytest.mark.parametrize("moment", [60.0, 61.0, 62.0, 63.0, 64.0])
def test_a_linker_between_engines_lets_go_of_a_cancelled_attempt(world: World, moment: float) -> None:
    stage = Stage(world, *[[0.05, Unreachable()] for _ in range(100)])
    stage.clock.at(moment, stage.disconnect)
    assert stage.link() == "lost"
    assert stage.clock.now <= moment + 3.1


def test_a_device_scanned_at_the_moment_of_cancel_is_unlinked(world: World, secret: Secret) -> None:
    stage = Stage(world)
    stage.scripts.append([*reached_qr(secret), 3.0, stage.disconnect, *scan(world, secret), *LOGIN])
    assert stage.link() == "lost"
    assert stage.workflow.of("call_unlinks") == [[], [world.bound(secret)["id"]]]
    assert world.bound(secret)["state"] == "unlinking"


@pytest.mark.parametrize("event", ["qr", "online", "refused"])
def test_no_event_of_a_cancelled_attempt_is_written(world: World, secret: Secret, event: str) -> None:
    last: dict[str, list[Step]] = {
        "qr": [qr(secret, 2)],
        "online": [*scan(world, secret), online(), Synced()],
        "refused": [Refused(Reason.ACCOUNT_BANNED)],
    }
    stage = Stage(world)
    seen: list[object] = []
    stage.scripts.append(
        [*reached_qr(secret), 3.0, stage.disconnect, lambda: seen.append(world.sessions.get(stage.user)), *last[event]]
    )
    assert stage.link() == "lost"
    assert seen == [world.sessions.get(stage.user)]
    assert stage.workflow.of("fail") == ["token-auth"]  # by the disconnect


def test_a_linker_lets_go_of_a_deleted_user_s_attempt(world: World, secret: Secret) -> None:
    stage = Stage(world, reached_qr(secret))
    stage.clock.at(10.0, lambda: world.sql("DELETE FROM auth.users"))
    assert stage.link() == "lost"


# ── parts that are away ──


@pytest.mark.parametrize("during", ["waiting", "qr", "scan", "online"])
def test_the_database_may_be_away_while_the_lease_lasts(world: World, secret: Secret, during: str) -> None:
    stage = Stage(world)

    def leave() -> None:
        stage.database.away = True
        stage.clock.at(stage.clock.now + 4, come_back)

    def come_back() -> None:
        stage.database.away = False

    where = {name: [leave] if name == during else [] for name in ("waiting", "qr", "scan", "online")}
    stage.scripts.append(
        [
            Reached(),
            *where["qr"],
            qr(secret),
            3.0,
            *where["waiting"],
            4.0,
            *where["scan"],
            *scan(world, secret),
            *where["online"],
            *LOGIN,
        ]
    )
    assert stage.link() == "connected"
    connected(stage, secret)
    assert stage.started == ["pair"]


def test_a_linker_lets_go_when_postgres_is_away_too_long(world: World, secret: Secret) -> None:
    stage = Stage(world, reached_qr(secret))

    def leave() -> None:
        stage.database.away = True

    stage.clock.at(10.0, leave)
    assert stage.link() == "lost"
    assert not stage.open
    assert stage.closed_at[-1] <= 10 + LEASE_SECONDS + 0.5


def test_an_engine_ends_with_its_lease_while_a_call_waits(world: World, secret: Secret) -> None:
    """The driver gives up only after 8 s: the main thread cannot close the engine before."""
    stage = Stage(world, reached_qr(secret))

    def leave() -> None:
        stage.database.away = True

    stage.database.hang = lambda: stage.clock.sleep(8.0)
    stage.clock.at(10.0, leave)
    assert stage.link() == "lost"
    assert stage.ended_at[-1] < 10 + LEASE_SECONDS
    assert stage.closed_at[-1] > stage.ended_at[-1]


@pytest.mark.parametrize("call", ["succeed", "heartbeat", "call_unlinks"])
def test_a_pairing_goes_on_while_the_workflow_is_away(world: World, secret: Secret, call: str) -> None:
    stage = Stage(world, [*reached_qr(secret), 5.0, *scan(world, secret), *LOGIN])
    stage.workflow.unavailable.add(call)
    assert stage.link() == "connected"
    assert world.sessions.get(stage.user).status is Status.CONNECTED


def test_a_verdict_stands_while_the_workflow_is_away(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), Refused(Reason.PASSKEY_REQUIRED)])
    stage.workflow.unavailable.add("fail")
    assert stage.link() == Reason.PASSKEY_REQUIRED
    assert stage.settle() == Reason.PASSKEY_REQUIRED


def test_a_wait_that_missed_its_answer_gets_it_at_a_renewal(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), 30.0, *scan(world, secret), *LOGIN])
    stage.workflow.unavailable.add("succeed")
    stage.clock.at(15.0, stage.workflow.unavailable.clear)
    stage.clock.at(16.0, lambda: stage.open_wait(Phase.QR))
    assert stage.link() == "connected"
    connected(stage, secret)


def test_a_slow_workflow_does_not_cost_the_lease(world: World, secret: Secret) -> None:
    """Each heartbeat takes seconds; the lease must be renewed often enough nevertheless."""
    stage = Stage(world, [*reached_qr(secret), 30.0, *scan(world, secret), *LOGIN])
    leases: list[bool] = []

    def slow(token: str | None) -> bool:
        stage.clock.sleep(5.0)
        leases.append(stage.link() == "not_needed")
        stage.beats.append(stage.clock.now)
        return True

    stage.workflow.heartbeat = slow  # type: ignore[method-assign]
    assert stage.link() == "connected"
    assert all(leases)


# ── every order of events ──


SCAN, ONLINE = "scan", "scan and log in"  # of the device whose engine it is
PIECES: list[Step | str] = [
    "qr", SCAN, ONLINE, Reached(), 0.5, 7.0, 45.0, Exhausted(), Replaced(), Unreachable(), Died("boom"), Synced(),
    Refused(Reason.PASSKEY_REQUIRED), StoreFailed("28P01"), StoreFailed("53300", passes=True),
]  # fmt: skip
LOGINS: list[list[Step]] = [
    [], [Reached()], [online()], [Synced(), online()], [LoggedOut()], [online(), 2.0, LoggedOut()], [Died("boom")],
    [Replaced()], [Unreachable()], [Refused(Reason.ACCOUNT_BANNED)],
]  # fmt: skip


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), cancelled_at=st.none() | st.floats(0, 130))
def test_a_linker_ends_in_time_and_leaves_no_orphan(
    world: World, data: st.DataObject, cancelled_at: float | None
) -> None:
    world.empty()
    stage = Stage(world)
    numbers = iter(range(1, 10_000))

    class Chance(list[list[Step]]):
        """A fresh script for each engine, of the kind that it was started as."""

        def pop(self, *_: object) -> list[Step]:
            if stage.started[-1] != "pair":
                jid = stage.started[-1].removeprefix("resume ")
                drawn = data.draw(st.sampled_from(LOGINS))
                login = [online(jid) if isinstance(step, Online) else step for step in drawn]
                return [
                    removed(world, jid)[0] if isinstance(step, LoggedOut) and half == 0 else step
                    for step in login
                    for half in ([0, 1] if isinstance(step, LoggedOut) else [1])
                ]
            secret, jid = Secret(), f"{next(numbers)}:1@s.whatsapp.net"
            steps: list[Step] = []
            for piece in data.draw(st.lists(st.sampled_from(PIECES), max_size=5, unique_by=str)):
                match piece:
                    case "qr":
                        steps.append(qr(secret))
                    case str():
                        steps += [qr(secret), *scan(world, secret, jid)]
                        steps += [online(jid), Synced()] if piece == ONLINE else []
                        return steps
                    case _:
                        steps.append(piece)
            return steps

        def __bool__(self) -> bool:
            return True

    stage.scripts = Chance()
    if cancelled_at is not None:
        stage.clock.at(cancelled_at, stage.disconnect)

    outcome = stage.link()

    assert outcome in {"connected", "lost", *Reason}
    assert stage.clock.now < 2 * WINDOW + LOGIN_SECONDS + HANDOVER_SECONDS + 20
    assert stage.longest_silence() < HEARTBEAT_SECONDS
    assert not stage.open
    ended = world.attempt(stage.attempt_id)
    assert ended["lease_expires_at"] is None
    assert outcome in {"connected": {"connected"}}.get(ended["outcome"], {"lost", *Reason})
    if ended["outcome"] is None:
        assert stage.settle() == outcome
    orphans = world.sql(
        "SELECT FROM whatsapp_engine.whatsmeow_device e WHERE NOT EXISTS (SELECT FROM whatsapp_private.devices d "
        "WHERE d.fingerprint = sha256(e.adv_key) AND d.state IN ('linked', 'unlinking'))"
    )
    assert orphans == []
