"""Calls to Step Functions and Lambda: which errors are final, and how long a call may take."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import botocore.stub
import pytest
from botocore.stub import Stubber
from whatsapp_pairing.core.errors import WorkflowSilent, WorkflowUnavailable
from whatsapp_pairing.runtime.lease import LEASE_SECONDS, RENEW_SECONDS
from whatsapp_pairing.runtime.settings import Settings
from whatsapp_pairing.runtime.workflow import DECIDED, Workflow

from infra.template.intrinsics import load_yaml

ARN = "arn:aws:states:eu-west-1:123456789012:stateMachine:pairing"
Say = Callable[[Workflow, str | None], bool]
CALLS: dict[str, Say] = {
    "send_task_success": lambda workflow, token: workflow.succeed(token),
    "send_task_failure": lambda workflow, token: workflow.fail(token),
    "send_task_heartbeat": lambda workflow, token: workflow.heartbeat(token),
}


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """The real client. A stub answers instead of the network."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    return Workflow(Settings({"STATE_MACHINE_ARN": ARN, "LINKER_FUNCTION": "linker"}))


@pytest.fixture
def states(workflow: Workflow) -> botocore.stub.Stubber:
    """The stub that answers for Step Functions."""
    stub = Stubber(workflow._states)
    stub.activate()
    return stub


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_is_sent_with_nothing_but_its_token(workflow: Workflow, states: Stubber, call: str) -> None:
    more = {"send_task_success": {"output": "{}"}, "send_task_failure": {"error": DECIDED}}
    states.add_response(call, {}, {"taskToken": "token", **more.get(call, {})})
    assert CALLS[call](workflow, "token") is True
    states.assert_no_pending_responses()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_an_answer_to_a_wait_that_is_over_is_no_error(
    workflow: Workflow, states: Stubber, call: str, code: str
) -> None:
    states.add_client_error(call, code)
    assert CALLS[call](workflow, "token") is False


@pytest.mark.parametrize("call", CALLS)
def test_without_a_token_no_answer_is_sent(workflow: Workflow, states: Stubber, call: str) -> None:
    assert CALLS[call](workflow, None) is False


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "InternalFailure"])
def test_any_other_refusal_is_unavailable(workflow: Workflow, states: Stubber, call: str, code: str) -> None:
    states.add_client_error(call, code)
    with pytest.raises(WorkflowUnavailable):
        CALLS[call](workflow, "token")


def test_an_execution_that_exists_is_started(workflow: Workflow) -> None:
    states = Stubber(workflow._states)
    states.activate()
    states.add_client_error("start_execution", "ExecutionAlreadyExists")
    workflow.start(uuid4())
    states.add_client_error("start_execution", "StateMachineDoesNotExist")
    with pytest.raises(WorkflowUnavailable):
        workflow.start(uuid4())


def test_a_start_without_an_answer_may_still_take_effect(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an answer, AWS may have started the execution. After a refusal or a failed connection it has not."""
    with socket.create_server(("127.0.0.1", 0)) as silent, socket.create_server(("127.0.0.1", 0)) as closed:
        ports = [one.getsockname()[1] for one in (silent, closed)]
        closed.close()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{ports[0]}")
        with pytest.raises(WorkflowSilent):
            workflow.start(uuid4())
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{ports[1]}")
        with pytest.raises(WorkflowUnavailable) as refused:
            Workflow(Settings({"STATE_MACHINE_ARN": ARN})).start(uuid4())
        assert not isinstance(refused.value, WorkflowSilent)


def test_a_workflow_without_a_region_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(WorkflowUnavailable):
        Workflow(Settings({})).heartbeat("token")


def test_the_longest_heartbeat_is_shorter_than_the_lease(workflow: Workflow) -> None:
    """The linker renews its lease, and then sends the heartbeat. The next renewal must come before the lease ends."""
    config = workflow._states.meta.config
    longest = config.retries["total_max_attempts"] * (config.connect_timeout + config.read_timeout)
    assert longest <= LEASE_SECONDS - RENEW_SECONDS


def test_two_calls_of_a_click_end_before_the_functions_timeout(workflow: Workflow) -> None:
    """Disconnect fails a wait and starts an unlink. If Lambda killed it meanwhile, we could not answer."""
    template = load_yaml((Path(__file__).parents[2] / "template.yaml").read_text())
    # Between two tries, botocore pauses for at most a second.
    longest = sum(
        config.retries["total_max_attempts"] * config.read_timeout + 1
        for config in (workflow._states.meta.config, workflow._functions.meta.config)
    )
    assert longest <= template["Globals"]["Function"]["Timeout"] - 1
