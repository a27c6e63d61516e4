"""The definition pairs with the input that ``connect`` of each kept release gives it."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from infra.release import kept
from infra.release.calls import EXECUTION
from tests.support.stack import PATIENCE_SECONDS, RunningSystem

_CLAIM = "SELECT claimed FROM whatsapp_private.claim_v1(%s, %s, 120, 7, '{5}', 30)"


@pytest.mark.parametrize(("number", "version"), list(enumerate(kept.kept())), ids=kept.kept())
def test_an_input_of_a_kept_release_leads_to_a_pairing(stack: RunningSystem, number: int, version: str) -> None:
    user, attempt = stack.user(), uuid4()
    recorded = kept.read(version)[EXECUTION]
    assert str(UUID(int=0)) in recorded
    assert stack.sql(_CLAIM, user.id, attempt) == [(True,)]
    execution = start(stack, attempt, recorded.replace(str(UUID(int=0)), str(attempt)))
    user.scan(user.qr(), f"3460000910{number}")
    user.reaches("connected")
    user.wait(PATIENCE_SECONDS, "end of the execution", lambda _: status(stack, execution) == "SUCCEEDED")
    assert entered(stack, execution) == ["WaitForQr", "WaitForAuth"]


def start(stack: RunningSystem, attempt: UUID, given: str) -> str:
    """Start the attempt's execution as ``connect`` does, and return its ARN."""
    states = stack.aws("stepfunctions")
    (machine,) = states.list_state_machines()["stateMachines"]
    started = states.start_execution(stateMachineArn=machine["stateMachineArn"], name=str(attempt), input=given)
    return str(started["executionArn"])


def status(stack: RunningSystem, execution: str) -> str:
    """The status of an execution."""
    return str(stack.aws("stepfunctions").describe_execution(executionArn=execution)["status"])


def entered(stack: RunningSystem, execution: str) -> list[str]:
    """The states that an execution has entered, in this order."""
    history = stack.aws("stepfunctions").get_execution_history(executionArn=execution)["events"]
    return [one["stateEnteredEventDetails"]["name"] for one in history if "stateEnteredEventDetails" in one]
