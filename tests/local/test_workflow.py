"""Callback tasks, run by moto: token success and failure, heartbeats, and those that come too early for moto."""

from __future__ import annotations

import json

import pytest

from tests.local.running import FixtureStack


@pytest.mark.parametrize(
    ("do", "ended"), [("succeed", "succeed"), ("fail", "refused"), ("silence", "missed"), ("beat", "beat")]
)
def test_a_callback_task_ends_as_its_token_says(runner: FixtureStack, do: str, ended: str) -> None:
    execution = runner.ended(runner.start_execution(f"test-{do}", do))

    assert execution["status"] == "SUCCEEDED"
    assert json.loads(execution["output"]) == {"ended": ended}
