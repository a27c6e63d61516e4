"""The time limit for all calls of one invocation together."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from whatsapp_pairing.core.errors import DatabaseUnavailable
from whatsapp_pairing.runtime import limits
from whatsapp_pairing.runtime.database import Database

from infra.template.reading import read_template
from tests.support.stack import PATIENCE_SECONDS, ROOT

NEEDED = {"SupabaseUrl": "https://x.test", "AllowedOrigins": ""}
# Linker, unlink and probe run for long, and no caller waits for them. The page makes no call.
UNLIMITED = {"linker", "unlink", "probe", "page"}


class Context:
    """Lambda's context, with this much time left."""

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that is left, as Lambda does."""
        return self._milliseconds


def limited(milliseconds: int, work: object) -> object:
    """Do ``work`` as a handler with this much time left."""
    return limits.answers_in_time(lambda _event, _context: work())({}, Context(milliseconds))  # type: ignore[operator]


def test_calls_may_take_the_time_left_less_that_to_answer() -> None:
    started = time.monotonic()
    left = limited(10_000, limits.seconds_left)
    taken = time.monotonic() - started
    assert 9 - taken <= left <= 9  # type: ignore[operator]


def test_a_clock_that_is_ahead_sets_no_limit() -> None:
    """By a clock that is ahead, the invocation would end before it begins."""
    assert limited(0, limits.seconds_left) == float("inf")


def test_a_limit_ends_with_its_invocation() -> None:
    def fail() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        limited(10_000, fail)
    assert limits.seconds_left() == float("inf")


def test_without_a_limit_a_call_is_made_directly() -> None:
    assert limits.in_time(threading.current_thread, 0) is threading.current_thread()


def test_a_call_gives_its_answer_or_its_error() -> None:
    def fail() -> None:
        raise KeyError("ours")

    assert limited(PATIENCE_SECONDS * 1000, lambda: limits.in_time(lambda: 7, PATIENCE_SECONDS)) == 7
    with pytest.raises(KeyError, match="ours"):
        limited(PATIENCE_SECONDS * 1000, lambda: limits.in_time(fail, PATIENCE_SECONDS))


@pytest.mark.parametrize(("milliseconds", "most"), [(1100, PATIENCE_SECONDS), (PATIENCE_SECONDS * 1000, 0.1)])
def test_a_call_that_hangs_is_given_up_at_the_limit(milliseconds: int, most: float) -> None:
    over = threading.Event()
    try:
        with pytest.raises(limits.OutOfTimeError):
            limited(milliseconds, lambda: limits.in_time(over.wait, most))
    finally:
        over.set()


def test_no_call_begins_when_no_time_is_left() -> None:
    called: list[int] = []
    with pytest.raises(limits.OutOfTimeError):
        limited(1000, lambda: limits.in_time(lambda: called.append(1), 1))
    with pytest.raises(DatabaseUnavailable, match="no time is left"):
        limited(1000, lambda: Database(lambda: str(called.append(2))).run(lambda _: None))
    assert called == []


@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("functions/*/app.py")))
def test_each_function_with_a_waiting_caller_is_limited(name: str) -> None:
    limits_itself = "\n@answers_in_time\ndef handler(" in Path(ROOT / "functions" / name / "app.py").read_text()
    assert limits_itself is (name not in UNLIMITED)


def test_every_function_keeps_time_for_its_answer() -> None:
    functions = read_template(ROOT / "template.yaml", {}, NEEDED).functions.values()
    assert all(one.timeout > 5 * limits.ANSWER_SECONDS for one in functions)
