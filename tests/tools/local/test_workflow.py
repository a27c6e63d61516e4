"""Callback tasks in moto: success, failure and heartbeats, also when they come earlier than moto expects."""

from __future__ import annotations

import json

import pytest

from tests.tools.local.fixture_runner import FixtureRunner


@pytest.mark.parametrize(
    ("do", "heartbeat", "ended"),
    [("succeed", 60, "succeed"), ("fail", 60, "refused"), ("silence", 1, "missed"), ("beat", 10, "beat")],
)
def test_a_callback_task_ends_as_its_token_says(runner: FixtureRunner, do: str, heartbeat: int, ended: str) -> None:
    execution = runner.ended(runner.start_execution(f"test-{do}", do, heartbeat))

    assert execution["status"] == "SUCCEEDED"
    assert json.loads(execution["output"]) == {"ended": ended}
