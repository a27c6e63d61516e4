"""The task that the workflow calls when it enters one of its two waits."""

from __future__ import annotations

from typing import Any

import pytest
from whatsapp_pairing.core.errors import (
    WorkflowUnavailable,
)
from whatsapp_pairing.pairing.attempt import Phase

from tests.support.handlers import App, Aws, Call, Context, event, task


def test_open_phase_keeps_the_token_and_starts_a_linker(call: Call, aws: Aws, world: Any) -> None:
    attempt_id = world.claim()
    assert call("open_phase", task("open_phase", attemptId=attempt_id)) is None
    assert world.attempt(attempt_id)["task_token"] == event("open_phase")["taskToken"]
    assert aws.invocations == [("linker", "Event", {"attemptId": str(attempt_id)})]


def test_open_phase_auth_starts_the_window_of_its_setting(call: Call, aws: Aws, world: Any) -> None:
    attempt_id = world.claim()
    world.lease(attempt_id)
    call("open_phase", task("open_phase", attemptId=attempt_id, phase="auth"))
    attempt = world.attempts.get(attempt_id)
    assert attempt.phase is Phase.AUTH
    assert 85 < attempt.remaining <= 90
    assert aws.invocations == []


def test_open_phase_fails_when_it_cannot_start_a_linker(app: App, world: Any, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    with pytest.raises(WorkflowUnavailable):
        app("open_phase").handler(task("open_phase", attemptId=world.claim()), Context())
