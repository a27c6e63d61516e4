"""What the handlers' tests share: modules by path, recorded events, the look of an answer."""

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

from tests.support.world import Secret

ROOT = Path(__file__).resolve().parents[2]
App = Callable[[str], ModuleType]
Call = Callable[..., Any]


def load(path: Path, name: str) -> ModuleType:
    """Import a file by its path: every function's module is called ``app``."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class Context:
    """What Lambda tells a handler about the invocation."""

    function_name = "whatsapp-pairing"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:whatsapp-pairing"
    aws_request_id = "6d9c1b9e-9a6f-4f0e-8e51-6f5a7b3c2d1e"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """As if it had just begun."""
        return 120_000


@dataclass
class Aws:
    """moto's AWS: what was started in it, and what was asked of Lambda."""

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
    """A recorded HTTP API request, of this user or (None) of nobody."""
    recorded = event(name)
    recorded["headers"] |= headers or {}
    found = {"userId": str(user), "expiresAt": str(int(time.time() + lives))} if user else {}
    recorded["requestContext"]["authorizer"]["lambda"] = found
    return recorded


def body(response: Any) -> Any:
    """The response's JSON, after a look at what every JSON answer has."""
    assert response["headers"]["Content-Type"] == "application/json; charset=utf-8"
    assert response["headers"]["Cache-Control"] == "no-store"
    parsed = json.loads(response["body"])
    assert parsed["success"] is (response["statusCode"] < 400)
    return parsed


def refused(response: Any, status: int, code: str) -> Any:
    """The error's body, in the API's own shape."""
    parsed = body(response)
    assert response["statusCode"] == status
    assert set(parsed) == {"success", "error", "message"}
    assert parsed["error"] == code
    assert parsed["message"].endswith(".")
    return parsed


def show(world: Any, user: UUID, secret: Secret) -> UUID:
    """Let the user's pairing show its QR."""
    attempt_id: UUID = world.claim(user)
    world.show(attempt_id, world.lease(attempt_id), secret)
    return attempt_id


def end(world: Any, attempt_id: UUID, reason: Reason) -> None:
    """Let the pairing end badly."""
    assert world.attempts.end(world.attempts.get(attempt_id), reason) is not None


def task(name: str, **fields: object) -> Any:
    """A recorded payload with these fields changed."""
    return event(name) | {key: str(value) for key, value in fields.items()}
