"""What the tests of handlers share: loading a function, recorded events, and the form of every answer."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import boto3
from whatsapp_pairing.core.reasons import Reason

from tests.support.adv_secret import Secret

ROOT = Path(__file__).resolve().parents[2]
App = Callable[[str], ModuleType]
Call = Callable[..., Any]


def load(path: Path, name: str) -> ModuleType:
    """Import a file by its path, because the module of every function is called ``app``."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class Context:
    """The context that Lambda gives to a handler."""

    function_name = "whatsapp-pairing"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:whatsapp-pairing"
    aws_request_id = "6d9c1b9e-9a6f-4f0e-8e51-6f5a7b3c2d1e"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """The time that an invocation has at its start."""
        return 120_000


@dataclass
class Aws:
    """The AWS that moto simulates: its executions, and the calls to Lambda and by task token."""

    state_machine: str
    invocations: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    answers: list[tuple[str, str, str | None]] = field(default_factory=list)

    def executions(self) -> list[dict[str, Any]]:
        """Every execution of the state machine, with its input."""
        client = boto3.client("stepfunctions")
        found = client.list_executions(stateMachineArn=self.state_machine)["executions"]
        return [client.describe_execution(executionArn=one["executionArn"]) for one in found]


def event(name: str) -> Any:
    """A recorded event."""
    return json.loads((ROOT / "tests" / "handlers" / "events" / f"{name}.json").read_text())


def request(name: str, user: UUID | None, headers: dict[str, str] | None = None, lives: float = 600) -> Any:
    """A recorded HTTP API request of this user. None means that the authorizer has named no user."""
    recorded = event(name)
    recorded["headers"] |= headers or {}
    found = {"userId": str(user), "expiresAt": str(int(time.time() + lives))} if user else {}
    recorded["requestContext"]["authorizer"]["lambda"] = found
    return recorded


def body(response: Any) -> Any:
    """Return the JSON of a response, and check what every JSON answer has."""
    assert response["headers"]["Content-Type"] == "application/json; charset=utf-8"
    assert response["headers"]["Cache-Control"] == "no-store"
    parsed = json.loads(response["body"])
    assert parsed["success"] is (response["statusCode"] < 400)
    return parsed


def refused(response: Any, status: int, code: str) -> Any:
    """Return the body of an error, and check that it has the form of the API's errors."""
    parsed = body(response)
    assert response["statusCode"] == status
    assert set(parsed) == {"success", "error", "message"}
    assert parsed["error"] == code
    assert parsed["message"].endswith(".")
    return parsed


def show(world: Any, user: UUID, secret: Secret) -> UUID:
    """Start an attempt of the user, let its linker show a QR, and return the attempt's id."""
    attempt_id: UUID = world.claim(user)
    world.show(attempt_id, world.lease(attempt_id), secret)
    return attempt_id


def end(world: Any, attempt_id: UUID, reason: Reason) -> None:
    """End the attempt with this reason."""
    assert world.attempts.end(world.attempts.get(attempt_id), reason) is not None


def task(name: str, **fields: object) -> Any:
    """A recorded payload with these fields changed."""
    return event(name) | {key: str(value) for key, value in fields.items()}
