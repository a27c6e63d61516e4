"""The default windows in real time: 120 seconds until the QR, and 120 seconds until the scan.

Three systems run side by side, so the tests take four minutes and not six.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
import pytest

from tests.support.postgres import Postgres
from tests.support.stack import RunningSystem, User

pytestmark = pytest.mark.slow

WINDOW = 120
# A slow machine may notice an end late, but never early.
HONOURED_WITHIN = 60


@dataclass(frozen=True)
class TimedPairing:
    """A click on "Connect" with the time of its answer, by the monotonic clock."""

    stack: RunningSystem
    database: str
    user: User
    started_at: float


@pytest.fixture(scope="module")
def pairings(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, TimedPairing]]:
    """Start three systems: WhatsApp is late, WhatsApp is silent, the user ignores the QR. Click in each."""
    kinds: dict[str, dict[str, object]] = {
        "late": {"qrDelaySeconds": 90},
        "silent": {"silent": "handshake"},
        "ignored": {},
    }
    with ExitStack() as cleanups:
        running = {}
        for name, knobs in kinds.items():
            database = postgres.url(postgres.create())
            stack = RunningSystem(tmp_path_factory.mktemp(name), "--database-url", database)
            cleanups.callback(stack.stop)
            stack.sandbox.set_knobs(**knobs)
            user = stack.user()
            assert user.connect().status == 202
            running[name] = TimedPairing(stack, database, user, time.monotonic())
        yield running


def test_a_qr_that_comes_after_90_seconds_pairs(pairings: dict[str, TimedPairing]) -> None:
    """The old server gave up after 30 seconds. That fault was the reason for this project."""
    late = pairings["late"]
    qr = late.user.qr(WINDOW)
    assert time.monotonic() - late.started_at > 88
    late.user.scan(qr, "34622000001")
    assert late.user.reaches("connected")["phoneNumber"] == "34622000001"


def test_a_qr_that_never_comes_ends_at_120_seconds(pairings: dict[str, TimedPairing]) -> None:
    silent = pairings["silent"]
    session = silent.user.reaches("error", WINDOW + HONOURED_WITHIN)
    assert session["error"]["code"] == "qr_timeout"
    assert WINDOW - 1 < time.monotonic() - silent.started_at < WINDOW + HONOURED_WITHIN
    the_window_was_honoured(silent, "started_at")
    the_next_click_works(silent, "34622000002")


def test_an_unscanned_qr_ends_the_attempt_after_120_seconds(pairings: dict[str, TimedPairing]) -> None:
    """The database's times of the attempt say how long it took."""
    ignored = pairings["ignored"]
    session = ignored.user.reaches("error", WINDOW + HONOURED_WITHIN)
    assert session["error"]["code"] == "scan_timeout"
    the_window_was_honoured(ignored, "qr_shown_at")
    the_next_click_works(ignored, "34622000003")


def test_an_unscanned_qr_shows_scan_timeout_after_its_window(pairings: dict[str, TimedPairing]) -> None:
    stack = pairings["ignored"].stack
    user = stack.user()
    user.connect()
    user.qr()
    appeared_at = time.monotonic()
    assert user.reaches("error", WINDOW + HONOURED_WITHIN)["error"]["code"] == "scan_timeout"
    assert time.monotonic() - appeared_at < WINDOW + HONOURED_WITHIN


def the_window_was_honoured(pairing: TimedPairing, since: str) -> None:
    """Check by the database's clock that the window has its length, and that the attempt ended with it."""
    statement = f"""
        SELECT extract(epoch FROM deadline - {since}), extract(epoch FROM ended_at - deadline)
        FROM whatsapp_private.attempts WHERE user_id = %s
    """
    with psycopg.connect(pairing.database) as connection:
        (row,) = connection.execute(statement, (pairing.user.id,))
    window, late = map(float, row)
    assert WINDOW - 1 < window < WINDOW + HONOURED_WITHIN
    assert -1 < late < HONOURED_WITHIN


def the_next_click_works(pairing: TimedPairing, number: str) -> None:
    """Pair at once after an attempt that ended badly."""
    pairing.stack.sandbox.reset_knobs()
    assert pairing.user.connect().status == 202
    pairing.user.scan(pairing.user.qr(), number)
    pairing.user.reaches("connected")
