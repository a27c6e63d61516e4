"""Eight threads call everything at random for a few users. No deadlock and no unexpected error may happen."""

from __future__ import annotations

import os
import time

import pytest

from tests.support.random_calls import RandomCalls
from tests.support.repositories import World


def call_at_random(world: World, number: int, seconds: float) -> None:
    """Make ``number`` calls, or as many as the time allows, and look for errors."""
    before = deadlocks(world)
    calls = RandomCalls(world, int(os.environ.get("RANDOM_CALLS_SEED", time.time_ns() % 1_000_000)))
    calls.run(number, seconds)
    print(f"{calls.made.total()} calls of {len(calls.made)} kinds, {dict(calls.errors.met)}, {dict(calls.changed)}")
    assert calls.changed["pair"], "no pairing connected"
    assert calls.unexpected() == {}
    assert deadlocks(world) == before


def deadlocks(world: World) -> int:
    """The deadlocks of this database so far. A server process reports its own when it ends, or before."""
    found: int = world.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return found


def test_random_calls_at_once_meet_no_deadlock(world: World) -> None:
    call_at_random(world, 3_000, 30)


@pytest.mark.slow
def test_many_random_calls_at_once_meet_no_deadlock(world: World) -> None:
    """``RANDOM_CALLS`` sets the number of calls, ``RANDOM_CALLS_SEED`` the choices."""
    call_at_random(world, int(os.environ.get("RANDOM_CALLS", "79000")), 900)
