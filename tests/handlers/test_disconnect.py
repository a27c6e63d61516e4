"""POST /api/whatsapp/disconnect."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from whatsapp_pairing.runtime.workflow import Workflow

from tests.support.adv_secret import Secret
from tests.support.handlers import Aws, Call, Context, body, request, show
from tests.support.metrics import metrics_in, values


def test_disconnect_counts_a_pairing_that_it_ends_only(
    call: Call, world: Any, user: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    world.claim(user)
    call("disconnect", request("disconnect", user))
    assert values(metrics_in(capsys.readouterr().out), "PairingEnded", outcome="cancelled") == [1]
    world.age(10)
    world.link(user, Secret())
    assert body(call("disconnect", request("disconnect", user)))["status"] == "disconnected"
    assert metrics_in(capsys.readouterr().out) == []


def test_disconnect_with_nothing_to_end_succeeds(call: Call, aws: Aws, user: UUID) -> None:
    response = call("disconnect", request("disconnect", user))
    assert response["statusCode"] == 200
    assert body(response) == {"success": True, "status": "already_disconnected"}
    assert aws.invocations == []


def test_disconnect_of_a_linked_user_starts_the_unlinking(call: Call, aws: Aws, world: Any, user: UUID) -> None:
    secret = Secret()
    world.link(user, secret)
    assert body(call("disconnect", request("disconnect", user))) == {"success": True, "status": "disconnected"}
    assert aws.invocations == [("unlink", "Event", {"deviceId": str(world.bound(secret)["id"])})]
    again = body(call("disconnect", request("disconnect", user)))
    assert again["status"] == "already_disconnected"


def test_disconnect_while_pairing_wakes_the_workflow(
    app: Callable[[str], ModuleType], world: Any, user: UUID, environment: pytest.MonkeyPatch
) -> None:
    attempt_id = show(world, user, Secret())
    world.open_auth(attempt_id, "token-auth")
    disconnect = app("disconnect")
    said: list[tuple[object, ...]] = []
    environment.setattr(Workflow, "fail", lambda _, *answer: said.append(answer))

    answer = body(disconnect.handler(request("disconnect", user), Context()))

    assert answer["status"] == "disconnected"
    assert said == [("token-auth",)]
    assert world.attempt(attempt_id)["outcome"] == "cancelled"


def test_disconnect_with_an_unknown_task_token_succeeds(call: Call, world: Any, user: UUID) -> None:
    world.open_auth(show(world, user, Secret()), "token-auth")  # no token of Step Functions
    assert body(call("disconnect", request("disconnect", user)))["status"] == "disconnected"
