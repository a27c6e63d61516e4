"""Hypothesis looks for an order of events, crashes and faults that breaks a promise.

If it finds one, it prints the shortest such order as a program.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.repositories import World
from tests.system.model.random_events import RandomEvents

_HOW = settings(
    max_examples=100,
    stateful_step_count=80,  # at most; on average a fifth of it
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def run(world: World, how: settings) -> None:
    machine = type("Run", (RandomEvents,), {"world": world})
    run_state_machine_as_test(machine, settings=how)


def test_no_order_of_events_breaks_a_promise(world: World) -> None:
    run(world, _HOW)


@pytest.mark.slow
def test_thousands_of_new_orders_of_events_break_no_promise(world: World) -> None:
    """``MODEL_RUNS`` says how many runs. Each time, hypothesis tries new ones."""
    run(world, settings(_HOW, max_examples=int(os.environ.get("MODEL_RUNS", "3000")), derandomize=False))
