"""Calls to Step Functions and to our own asynchronous functions."""

import json
from functools import cached_property
from typing import Any
from uuid import UUID

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError

from whatsapp_pairing.core.errors import WorkflowSilent, WorkflowUnavailable
from whatsapp_pairing.runtime import limits
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.settings import Settings

# We fail a wait with this error when the database has a verdict or an outcome of the attempt.
DECIDED = "Decided"

_FAILURES = (ClientError, BotoCoreError, limits.OutOfTimeError)
# AWS's codes for a token whose wait is over: it was answered before, timed out, or its execution has ended.
_STALE = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}
# The limits are short. So a linker does not lose its lease while it waits for AWS, and a click is answered before the
# function's Timeout. A second try may start a function twice. Each of our functions can bear that.
_BRIEF = Config(connect_timeout=1, read_timeout=1.7, retries={"mode": "standard", "total_max_attempts": 2})
# A call takes no longer than this in an invocation with a limit. So a service that hangs leaves time for the next call.
_MOST_SECONDS = 4.0
# After this many failures in a row, no more unlinks are started, because each try may take its full time.
_MOST_FAILED_STARTS = 3
# AWS has not answered, so the call may still take effect.
_SILENT = (ReadTimeoutError, ConnectionClosedError, limits.OutOfTimeError)


class Workflow:
    """The pairing workflow and the functions beside it.

    Parameters
    ----------
    settings : Settings
        Names of the state machine and of the functions. Only those that the caller uses must be set.

    Notes
    -----
    Calls carry only ids, task tokens and error names, because operators can read the execution history.

    Every method may raise ``WorkflowUnavailable``.
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
        """Start the attempt's one execution. A second start changes nothing.

        Raises
        ------
        WorkflowUnavailable
            Step Functions cannot be reached or refuses.
        WorkflowSilent
            Step Functions does not answer. It may still start the execution.
        """
        request = {
            "stateMachineArn": self._settings.state_machine_arn,
            "name": str(attempt_id),
            "input": json.dumps(execution_input(attempt_id)),
        }
        try:
            limits.in_time(lambda: self._states.start_execution(**request), _MOST_SECONDS)
        except _FAILURES as error:
            if _code(error) != "ExecutionAlreadyExists":
                raise _unavailable("start_execution", error) from None

    def succeed(self, token: str | None) -> bool:
        """Complete the wait of this token; False when that wait is over."""
        return self._answer("send_task_success", token, output="{}")

    def fail(self, token: str | None) -> bool:
        """Fail the wait of this token with ``DECIDED``; False when that wait is over."""
        return self._answer("send_task_failure", token, error=DECIDED)

    def heartbeat(self, token: str | None) -> bool:
        """Report that the linker lives; False when the wait of this token is over."""
        return self._answer("send_task_heartbeat", token)

    def call_linker(self, attempt_id: UUID) -> None:
        """Start a linker for the attempt, asynchronously."""
        self._invoke(self._settings.linker_function, {"attemptId": str(attempt_id)})

    def call_unlink(self, device_id: UUID) -> None:
        """Start the removal of a device, asynchronously and with Lambda's retries."""
        self._invoke(self._settings.unlink_function, {"deviceId": str(device_id)})

    def call_unlinks(self, device_ids: list[UUID]) -> int:
        """Start the removal of devices; return how many could not be started. Cleanup starts those later."""
        failed = in_a_row = 0
        for number, device_id in enumerate(device_ids):
            if in_a_row == _MOST_FAILED_STARTS:
                return failed + len(device_ids) - number
            try:
                self.call_unlink(device_id)
                in_a_row = 0
            except WorkflowUnavailable:
                logger.warning("unlink was not started; cleanup will start it", exc_info=True)
                failed, in_a_row = failed + 1, in_a_row + 1
        return failed

    def _answer(self, operation: str, token: str | None, **arguments: str) -> bool:
        if token is None:
            return False
        try:
            limits.in_time(lambda: getattr(self._states, operation)(taskToken=token, **arguments), _MOST_SECONDS)
        except _FAILURES as error:
            if _code(error) in _STALE:
                return False
            raise _unavailable(operation, error) from None
        return True

    def _invoke(self, function: str, payload: dict[str, str]) -> None:
        request = {"FunctionName": function, "InvocationType": "Event", "Payload": json.dumps(payload).encode()}
        try:
            limits.in_time(lambda: self._functions.invoke(**request), _MOST_SECONDS)
        except _FAILURES as error:
            raise _unavailable("invoke", error) from None


def execution_input(attempt_id: UUID) -> dict[str, str]:
    """Return the input of an attempt's execution. The definition of the next release must understand it too."""
    return {"attemptId": str(attempt_id)}


def _unavailable(operation: str, error: Exception) -> WorkflowUnavailable:
    # Leave out AWS's message, which may quote a task token.
    kind = WorkflowSilent if isinstance(error, _SILENT) else WorkflowUnavailable
    return kind(detail=f"{operation}: {type(error).__name__} {_code(error)}".rstrip())


def _code(error: Exception) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""
