"""Eight threads call everything at random for a few users: no deadlock, no error, and everything comes to rest."""

from __future__ import annotations

import os
import time

import pytest

from tests.support.storm import Storm
from tests.support.world import World


def blow(world: World, calls: int, seconds: float) -> Storm:
    before = deadlocks(world)
    storm = Storm(world, int(os.environ.get("STORM_SEED", time.time_ns() % 1_000_000)))
    storm.blow(calls, seconds)
    print(f"{storm.calls.total()} calls of {len(storm.calls)} kinds, {dict(storm.errors.met)}, {dict(storm.changed)}")
    assert storm.changed["pair"], "no pairing got anywhere"
    assert storm.unexpected() == {}
    assert deadlocks(world) == before
    return storm


def deadlocks(world: World) -> int:
    """How many this database has had; a server process reports it at its end at the latest."""
    found: int = world.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return found


def test_random_calls_at_once_meet_no_deadlock(world: World) -> None:
    blow(world, 3_000, 30)


@pytest.mark.slow
def test_many_random_calls_at_once_meet_no_deadlock(world: World) -> None:
    """``STORM_CALLS`` says how many calls, ``STORM_SEED`` which ones."""
    blow(world, int(os.environ.get("STORM_CALLS", "79000")), 900)
