"""The rules by which an attempt goes on or ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import (
    HANDOVER_SECONDS,
    HEARTBEAT_SECONDS,
    MAX_LINKERS,
    MOST_REFUSALS,
    PAUSES,
    RETRY_SECONDS,
    SCAN_AGAIN_SECONDS,
    Again,
    Attempt,
    Phase,
    next_step,
    timeout_reason,
)
from whatsapp_pairing.runtime.lease import LEASE_SECONDS, RENEW_SECONDS
from whatsapp_pairing.session.session import Session, Status

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LIVE = Attempt(
    id=UUID(int=1), user_id=UUID(int=2), phase=Phase.QR, deadline=NOW, age=60.0, remaining=60.0, since_scan=None,
    task_token="token", alive=False, linkers=1, qr_shown=False, reachable=True, verdict=None, outcome=None, version=1,
    notice=None, refusals=0, stored_jid=None, stored_fingerprint=None, left_over=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        # a lost linker inside the window
        ({}, Again(Phase.QR, 60)),
        ({"remaining": 59.2}, Again(Phase.QR, 60)),
        ({"phase": Phase.AUTH}, Again(Phase.AUTH, 60)),
        ({"remaining": 0.1}, Again(Phase.QR, 2)),
        # the window has ended
        ({"remaining": 0.0}, Reason.QR_TIMEOUT),
        ({"remaining": -5.0, "phase": Phase.AUTH}, Reason.SCAN_TIMEOUT),
        ({"remaining": -5.0, "phase": Phase.AUTH, "since_scan": 1.0}, Reason.LINKER_FAILED),
        ({"remaining": -5.0, "phase": Phase.AUTH, "stored_jid": "1:1@s.whatsapp.net"}, Reason.LINKER_FAILED),
        ({"remaining": -5.0, "reachable": False}, Reason.WHATSAPP_UNREACHABLE),
        ({"remaining": 5.0, "reachable": False}, Again(Phase.QR, 5)),
        # the person has the notice to scan again
        ({"remaining": -5.0, "phase": Phase.AUTH, "notice": Notice.SCAN_AGAIN}, Reason.SCAN_NOT_REPEATED),
        ({"remaining": -5.0, "notice": Notice.NEW_QR}, Reason.SCAN_NOT_REPEATED),
        ({"remaining": -5.0, "notice": Notice.NEW_QR, "reachable": False}, Reason.WHATSAPP_UNREACHABLE),
        ({"remaining": -5.0, "notice": Notice.NEW_QR, "since_scan": 1.0}, Reason.LINKER_FAILED),
        # a QR shortly before the window ends
        ({"remaining": -1.0, "qr_shown": True, "alive": True}, Again(Phase.QR, HANDOVER_SECONDS)),
        ({"remaining": -1.0, "qr_shown": True}, Reason.QR_TIMEOUT),
        ({"remaining": -1.0, "qr_shown": True, "alive": True, "phase": Phase.AUTH}, Reason.SCAN_TIMEOUT),
        # a wait that failed at once: only the pause takes time
        ({"at_once": True}, Again(Phase.QR, 58, RETRY_SECONDS)),
        ({"at_once": True, "remaining": 1.5}, Again(Phase.QR, 2, 1)),
        ({"at_once": True, "remaining": 0.1}, Again(Phase.QR, 2)),
        ({"at_once": True, "remaining": -1.0, "qr_shown": True, "alive": True}, Again(Phase.QR, 8, 2)),
        ({"at_once": True, "remaining": -1.0}, Reason.QR_TIMEOUT),
        # a verdict is final
        ({"verdict": Reason.ACCOUNT_BANNED}, Reason.ACCOUNT_BANNED),
        ({"verdict": Reason.ACCOUNT_BANNED, "remaining": -1.0}, Reason.ACCOUNT_BANNED),
        # the linker reported that no phone had scanned, and then a phone scanned
        ({"verdict": Reason.SCAN_TIMEOUT, "stored_jid": "1:1@s.whatsapp.net"}, Reason.LINKER_FAILED),
        ({"verdict": Reason.QR_TIMEOUT, "since_scan": 0.1}, Reason.LINKER_FAILED),
        # linkers that keep dying
        ({"linkers": MAX_LINKERS - 1}, Again(Phase.QR, 60)),
        ({"linkers": MAX_LINKERS}, Reason.LINKER_FAILED),
        ({"linkers": MAX_LINKERS, "alive": True}, Again(Phase.QR, 60)),
        ({"linkers": MAX_LINKERS, "verdict": Reason.CANCELLED}, Reason.CANCELLED),
    ],
)
def test_next_step(changes: dict[str, object], step: Again | Reason) -> None:
    at_once = bool(changes.pop("at_once", False))
    assert next_step(replace(LIVE, **changes), at_once) == step  # type: ignore[arg-type]


attempts = st.builds(
    Attempt,
    id=st.uuids(),
    user_id=st.uuids(),
    phase=st.sampled_from(Phase),
    deadline=st.just(NOW),
    remaining=st.floats(-10_000, 10_000),
    task_token=st.none() | st.text(),
    alive=st.booleans(),
    linkers=st.integers(0, 2 * MAX_LINKERS),
    qr_shown=st.booleans(),
    since_scan=st.none() | st.floats(0, 10_000),
    reachable=st.booleans(),
    verdict=st.none() | st.sampled_from(Reason),
    outcome=st.none(),
    version=st.integers(0),
    notice=st.none() | st.sampled_from(Notice),
    refusals=st.integers(0, MOST_REFUSALS),
)


@given(attempts, st.booleans())
def test_every_attempt_goes_on_or_ends_with_a_reason(attempt: Attempt, at_once: bool) -> None:
    step = next_step(attempt, at_once)
    if isinstance(step, Reason):
        return
    assert step.phase is attempt.phase
    assert isinstance(step.seconds, int)
    assert step.seconds >= 2
    assert 1 <= step.heartbeat < step.seconds
    assert step.heartbeat <= HEARTBEAT_SECONDS
    assert 0 <= step.pause <= RETRY_SECONDS
    assert step.pause + step.seconds <= max(attempt.remaining + 2, HANDOVER_SECONDS)
    assert attempt.verdict is None


@given(attempts)
def test_linkers_that_keep_dying_end_every_attempt(attempt: Attempt) -> None:
    for linkers in range(attempt.linkers, attempt.linkers + MAX_LINKERS + 1):
        if isinstance(next_step(replace(attempt, linkers=linkers, alive=False)), Reason):
            return
    raise AssertionError("it goes on for ever")


def test_a_timeout_without_a_linker_is_our_fault() -> None:
    assert timeout_reason(replace(LIVE, linkers=0)) is Reason.LINKER_FAILED
    assert timeout_reason(replace(LIVE, linkers=0, task_token=None)) is Reason.INTERNAL
    assert timeout_reason(replace(LIVE, linkers=1)) is Reason.QR_TIMEOUT


@given(attempts)
def test_a_timeout_after_a_scan_never_says_not_scanned(attempt: Attempt) -> None:
    reason = timeout_reason(attempt)
    if attempt.scanned or not attempt.linkers:
        assert reason in (Reason.LINKER_FAILED, Reason.WHATSAPP_UNREACHABLE, Reason.INTERNAL)
    elif attempt.notice:
        assert reason in (Reason.SCAN_NOT_REPEATED, Reason.WHATSAPP_UNREACHABLE)
    else:
        assert reason in (Reason.QR_TIMEOUT, Reason.SCAN_TIMEOUT, Reason.WHATSAPP_UNREACHABLE)


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),
        ({"refusals": MOST_REFUSALS - 1}, True),
        ({"refusals": MOST_REFUSALS}, False),
        ({"remaining": float(SCAN_AGAIN_SECONDS)}, True),
        ({"remaining": SCAN_AGAIN_SECONDS - 0.1}, False),
        # the workflow will open the scan window now
        ({"remaining": 1.0, "phase": Phase.QR, "qr_shown": True}, True),
        ({"remaining": 1.0, "phase": Phase.QR}, False),
    ],
)
def test_a_refused_pairing_gets_a_qr_while_time_is_left(changes: dict[str, object], may: bool) -> None:
    attempt = replace(LIVE, phase=Phase.AUTH)
    assert replace(attempt, **changes).may_scan_again is may  # type: ignore[arg-type]


def test_a_lease_ends_before_a_heartbeat_is_missed() -> None:
    """When the workflow misses a heartbeat, the next linker can take the lease. One failed renewal ends no lease."""
    assert LEASE_SECONDS < HEARTBEAT_SECONDS
    assert 2 * RENEW_SECONDS < LEASE_SECONDS


def test_linkers_that_keep_dying_are_blamed_within_the_window() -> None:
    assert MAX_LINKERS * (HEARTBEAT_SECONDS + 3) < 120


def test_pauses_never_shrink() -> None:
    assert list(PAUSES) == sorted(PAUSES)


def test_secrets_are_not_in_a_repr() -> None:
    assert "token'" not in repr(LIVE)
    assert "the-qr" not in repr(Session(Status.WAITING_QR, NOW, qr="the-qr"))


@pytest.mark.parametrize(
    ("session", "milliseconds"),
    [
        (Session(Status.CONNECTING, NOW), 400),
        (Session(Status.WAITING_QR, NOW), 400),
        (Session(Status.WAITING_QR, NOW, qr="x"), 1000),
        (Session(Status.CONNECTED, NOW), 30_000),
        (Session(Status.DISCONNECTED, NOW), 15_000),
        (Session(Status.ERROR, NOW), 15_000),
    ],
)
def test_each_status_names_the_time_until_the_next_poll(session: Session, milliseconds: int) -> None:
    assert session.poll_after_ms == milliseconds
