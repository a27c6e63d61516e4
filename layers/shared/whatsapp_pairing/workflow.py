"""Calls to Step Functions and to our own asynchronous functions."""

import json
from functools import cached_property
from typing import Any
from uuid import UUID

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError

from whatsapp_pairing.errors import WorkflowSilent, WorkflowUnavailable
from whatsapp_pairing.observability import logger
from whatsapp_pairing.settings import Settings

# The error of a wait that was failed because the database has the attempt's verdict or outcome.
DECIDED = "Decided"

# The token's wait is over: it was answered before, timed out, or its execution has ended.
_STALE = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}
# Short limits: a linker must not lose its lease while it waits for AWS, and a click must be answered before the
# function's Timeout. A second try may start the same thing twice, which every started function allows.
_BRIEF = Config(connect_timeout=1, read_timeout=1.7, retries={"mode": "standard", "total_max_attempts": 2})


class Workflow:
    """The pairing workflow and the functions beside it.

    Parameters
    ----------
    settings : Settings
        Names of the state machine and of the functions; only those that are used have to be set.

    Notes
    -----
    What is sent holds ids, task tokens and error names only, because operators can read the execution history.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _states(self) -> Any:
        return boto3.client("stepfunctions", config=_BRIEF)

    @cached_property
    def _functions(self) -> Any:
        return boto3.client("lambda", config=_BRIEF)

    def start(self, attempt_id: UUID) -> None:
        """Start the attempt's one execution; starting it again changes nothing.

        Raises
        ------
        WorkflowUnavailable
            Step Functions cannot be reached or refuses.
        WorkflowSilent
            Step Functions does not answer. It may still start the execution.
        """
        try:
            self._states.start_execution(
                stateMachineArn=self._settings.state_machine_arn,
                name=str(attempt_id),
                input=json.dumps({"attemptId": str(attempt_id)}),
            )
        except (ClientError, BotoCoreError) as error:
            if _code(error) != "ExecutionAlreadyExists":
                raise _unavailable("start_execution", error) from None

    def succeed(self, token: str | None) -> bool:
        """Complete a wait; False when there is no such wait any more."""
        return self._answer("send_task_success", token, output="{}")

    def fail(self, token: str | None) -> bool:
        """Fail a wait whose attempt has a verdict or an outcome; False when there is no such wait any more."""
        return self._answer("send_task_failure", token, error=DECIDED)

    def heartbeat(self, token: str | None) -> bool:
        """Report that the linker lives; False when there is no such wait any more."""
        return self._answer("send_task_heartbeat", token)

    def call_linker(self, attempt_id: UUID) -> None:
        """Start a linker for the attempt, asynchronously."""
        self._invoke(self._settings.linker_function, {"attemptId": str(attempt_id)})

    def call_unlink(self, device_id: UUID) -> None:
        """Start the removal of a device, asynchronously and with Lambda's retries."""
        self._invoke(self._settings.unlink_function, {"deviceId": str(device_id)})

    def call_unlinks(self, device_ids: list[UUID]) -> None:
        """Start the removal of devices. Cleanup starts those that cannot be started now."""
        for device_id in device_ids:
            try:
                self.call_unlink(device_id)
            except WorkflowUnavailable:
                logger.warning("unlink was not started; cleanup will start it", exc_info=True)

    def _answer(self, operation: str, token: str | None, **arguments: str) -> bool:
        if token is None:
            return False
        try:
            getattr(self._states, operation)(taskToken=token, **arguments)
        except (ClientError, BotoCoreError) as error:
            if _code(error) in _STALE:
                return False
            raise _unavailable(operation, error) from None
        return True

    def _invoke(self, function: str, payload: dict[str, str]) -> None:
        try:
            self._functions.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(payload).encode())
        except (ClientError, BotoCoreError) as error:
            raise _unavailable("invoke", error) from None


def _unavailable(operation: str, error: Exception) -> WorkflowUnavailable:
    # Leave out AWS's message, which may quote a task token.
    kind = WorkflowSilent if isinstance(error, (ReadTimeoutError, ConnectionClosedError)) else WorkflowUnavailable
    return kind(detail=f"{operation}: {type(error).__name__} {_code(error)}".rstrip())


def _code(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""
