"""Step Functions, as far as our definition needs it. Anything else in the definition is an error here.

As on AWS, a wait's timeout counts from its start. The heartbeat counts from the return of the function that got the
token. An answer to a wait that is over is refused. An execution's name can never be used again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from tests.system.model.process import Killed, Process

_FILE = Path(__file__).resolve().parents[3] / "infra" / "stack" / "pairing.asl.json"
_WAIT = "arn:aws:states:::lambda:invoke.waitForTaskToken"
_CALL = "arn:aws:states:::lambda:invoke"
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Surroundings(Protocol):
    """What an execution needs from the system."""

    now: float

    def invoke(self, function: str, payload: dict[str, Any], ended: Callable[[Process], None]) -> None:
        """Start a function, and call ``ended`` when it has ended."""


def definition(window: float) -> dict[str, Any]:
    """Read the real definition. Both windows get this length, and the functions get their logical names."""
    text = re.sub(r"\$\{(\w+)FunctionArn\}", r"\1", _FILE.read_text("utf-8"))
    found: dict[str, Any] = json.loads(re.sub(r"\$\{\w+TimeoutSeconds\}", str(window), text))
    return found


class Execution:
    """One execution, named after its attempt.

    Attributes
    ----------
    token : str or None
        The token of the open wait.
    finished : bool
        Whether the execution has come to an end of its definition. An execution that was stopped has not.
    """

    def __init__(self, attempt_id: UUID, states: dict[str, Any], around: Surroundings) -> None:
        self._states, self._around = states, around
        self._data: dict[str, Any] = {"attemptId": str(attempt_id)}
        self._waits = 0
        self._retries = 0
        self._visit = 0
        self.running = True
        self.finished = False
        self.state = ""
        self._leave()
        self._enter(states["StartAt"])

    def __repr__(self) -> str:
        return f"<execution {self._data['attemptId'][:4]} in {self.state}>"

    def succeed(self, token: str) -> bool:
        """Complete the wait. Return False if there is no such wait."""
        if token != self.token:
            return False
        self._go_on()
        return True

    def fail(self, token: str, error: str) -> bool:
        """Fail the wait. Return False if there is no such wait."""
        if token != self.token:
            return False
        self._catch(error)
        return True

    def heartbeat(self, token: str) -> bool:
        """Keep the wait open. Return False if there is no such wait."""
        if token != self.token:
            return False
        self._silent_at = self._around.now + self._heartbeat
        return True

    def vanish(self) -> None:
        """Stop the execution, as an operator or a failed region does."""
        self.running = False
        self._leave()

    def redrive(self) -> None:
        """Go on in the state where the execution was stopped, as an operator can."""
        self.running = True
        self._enter(self.state)

    def tick(self) -> None:
        """End a pause, retry a call, or end a wait, if that is due."""
        now = self._around.now
        if self._rested_at is not None and self._rested_at <= now:
            self._go_on()
        elif self._retry_at is not None and self._retry_at <= now:
            self._retry_at = None
            self._call()
        elif self.token and self._over_at <= now:
            self._catch("States.Timeout")
        elif self.token and self._silent_at is not None and self._silent_at <= now:
            self._catch("States.HeartbeatTimeout")

    @property
    def next_tick(self) -> float | None:
        """When the next thing is due."""
        moments = [
            self._rested_at,
            self._retry_at,
            self._over_at if self.token else None,
            self._silent_at if self.token else None,
        ]
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def _state(self) -> dict[str, Any]:
        found: dict[str, Any] = self._states["States"][self.state]
        return found

    def _leave(self) -> None:
        self._visit += 1
        self.token: str | None = None
        self._over_at = self._heartbeat = 0.0
        self._silent_at: float | None = None
        self._retry_at: float | None = None
        self._rested_at: float | None = None

    def _enter(self, name: str) -> None:
        self._leave()
        self.state = name
        state = self._state
        match state["Type"], state.get("Resource"):
            case "Task", r if r == _WAIT:
                assert state["ResultPath"] is None
                self._wait()
            case "Task", r if r == _CALL:
                self._retries = 0
                self._call()
            case "Wait", None:
                self._rested_at = self._around.now + self._get(state["SecondsPath"])
            case "Choice", None:
                chosen = [c["Next"] for c in state["Choices"] if self._get(c["Variable"]) == c["StringEquals"]]
                self._enter([*chosen, state["Default"]][0])
            case "Succeed", None:
                self._finish()
            case unknown:
                raise NotImplementedError(unknown)

    def _go_on(self) -> None:
        if self._state.get("End"):
            self._finish()
        else:
            self._enter(self._state["Next"])

    def _finish(self) -> None:
        self._leave()
        self.running, self.finished = False, True

    def _wait(self) -> None:
        state = self._state
        self._waits += 1
        token = self.token = f"{self._data['attemptId']}/{self._waits}"
        seconds, self._heartbeat = self._number("TimeoutSeconds"), self._number("HeartbeatSeconds")
        assert 0 < self._heartbeat < seconds, "Step Functions refuses such a heartbeat"
        self._over_at = self._around.now + seconds

        def entered(process: Process) -> None:
            if token != self.token:
                return
            if process.error:
                self._catch("Lambda.Unknown" if isinstance(process.error, Killed) else type(process.error).__name__)
            elif self._silent_at is None:
                self._silent_at = self._around.now + self._heartbeat

        entered_at = _EPOCH + timedelta(seconds=self._around.now, microseconds=self._waits)
        self._around.invoke(state["Parameters"]["FunctionName"], self._payload(token, entered_at), entered)

    def _call(self) -> None:
        state, (policy,) = self._state, self._state["Retry"]
        assert policy["ErrorEquals"] == ["States.ALL"]

        visit = self._visit

        def returned(process: Process) -> None:
            if not self.running or visit != self._visit:
                return
            if not process.error:
                payload = {"Payload": process.result}
                self._put(state["ResultPath"], {k[:-2]: _at(payload, v) for k, v in state["ResultSelector"].items()})
                self._go_on()
            elif self._retries < policy["MaxAttempts"]:
                pause = policy["IntervalSeconds"] * policy["BackoffRate"] ** self._retries
                self._retry_at = self._around.now + min(pause, policy["MaxDelaySeconds"])
                self._retries += 1
            else:
                self.vanish()

        self._around.invoke(state["Parameters"]["FunctionName"], self._payload(None, None), returned)

    def _catch(self, error: str) -> None:
        (catcher,) = self._state["Catch"]
        assert catcher["ErrorEquals"] == ["States.ALL"]
        self._put(catcher["ResultPath"], {"Error": error})
        self._enter(catcher["Next"])

    def _payload(self, token: str | None, entered_at: datetime | None) -> dict[str, Any]:
        context = {"$$.Task.Token": token, "$$.State.EnteredTime": entered_at}
        return {
            name.removesuffix(".$"): (context[value] if value in context else self._get(value))
            if name.endswith(".$")
            else value
            for name, value in self._state["Parameters"]["Payload"].items()
        }

    def _number(self, field: str) -> Any:
        return self._state[field] if field in self._state else self._get(self._state[f"{field}Path"])

    def _get(self, path: str) -> Any:
        return _at(self._data, path)

    def _put(self, path: str, value: Any) -> None:
        self._data[path.removeprefix("$.")] = value


def _at(data: Any, path: str) -> Any:
    for name in path.removeprefix("$.").split("."):
        data = data[name]
    return data
