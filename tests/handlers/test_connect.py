"""POST /api/whatsapp/connect."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.runtime.settings import settings

from tests.support.adv_secret import Secret
from tests.support.handlers import Aws, Call, body, end, refused, request
from tests.support.metrics import Metric, metrics_in

STATUS = {
    "success", "status", "connected", "qr", "qrExpiresAt", "attempt", "phoneNumber", "connectedAt", "lastSeen",
    "messagesSent", "messagesReceived", "error", "notice", "pollAfterMs",
}  # fmt: skip


def test_connect_starts_one_execution_named_after_the_attempt(call: Call, aws: Aws, world: Any, user: UUID) -> None:
    response = call("connect", request("connect", user))

    answer = body(response)
    assert response["statusCode"] == 202
    assert set(answer) == STATUS
    assert (answer["status"], answer["connected"], answer["pollAfterMs"]) == ("connecting", False, 400)
    (execution,) = aws.executions()
    assert execution["name"] == answer["attempt"]["id"]
    assert json.loads(execution["input"]) == {"attemptId": answer["attempt"]["id"]}
    assert answer["attempt"]["number"] == 1
    assert world.row(user)["session_status"] == "connecting"


def test_a_second_click_is_answered_with_the_running_attempt(call: Call, aws: Aws, world: Any, user: UUID) -> None:
    first = body(call("connect", request("connect", user)))
    show_again = call("connect", request("connect", user))
    assert show_again["statusCode"] == 200
    assert body(show_again) == first
    assert len(aws.executions()) == 1


def test_connect_of_a_connected_user_answers_connected(call: Call, aws: Aws, world: Any, user: UUID) -> None:
    world.link(user, Secret())
    response = call("connect", request("connect", user))
    answer = body(response)
    assert response["statusCode"] == 200
    assert (answer["status"], answer["connected"], answer["phoneNumber"]) == ("connected", True, "5215550001")
    assert aws.executions() == []


def test_connect_within_the_pause_names_the_wait(call: Call, aws: Aws, world: Any, user: UUID) -> None:
    end(world, world.claim(user), Reason.QR_TIMEOUT)
    response = call("connect", request("connect", user))
    refused(response, 429, "too_soon")
    assert 3 <= int(response["headers"]["Retry-After"]) <= 5
    assert aws.executions() == []


def test_connect_to_a_full_system_is_a_503_with_retry_after(
    call: Call, environment: pytest.MonkeyPatch, aws: Aws, world: Any, user: UUID
) -> None:
    world.claim()
    environment.setenv("MAX_LIVE_PAIRINGS", "1")
    settings.cache_clear()
    response = call("connect", request("connect", user))
    refused(response, 503, "at_capacity")
    assert int(response["headers"]["Retry-After"]) > 0
    assert aws.executions() == []


def test_connect_when_step_functions_refuses_can_be_repeated(
    call: Call, environment: pytest.MonkeyPatch, aws: Aws, world: Any, user: UUID
) -> None:
    environment.setenv("STATE_MACHINE_ARN", aws.state_machine + "-gone")
    settings.cache_clear()
    refused(call("connect", request("connect", user)), 503, "unavailable")
    assert body(call("status", request("status", user)))["error"]["code"] == "internal"
    environment.setenv("STATE_MACHINE_ARN", aws.state_machine)
    settings.cache_clear()
    world.age(6)  # longer than the pause after one failure

    assert call("connect", request("connect", user))["statusCode"] == 202
    assert len(aws.executions()) == 1


def test_connect_counts_its_start_without_naming_the_user(
    call: Call, user: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    call("connect", request("connect", user))
    service = (("service", "whatsapp-pairing"),)
    assert metrics_in(capsys.readouterr().out) == [Metric("WhatsAppPairing", "PairingStarted", service, "Count", 1.0)]
    call("connect", request("connect", user))
    assert metrics_in(capsys.readouterr().out) == []


def test_connect_of_a_user_who_was_deleted_is_no_server_error(call: Call, aws: Aws) -> None:
    """The token of a deleted user is valid for up to an hour."""
    refused(call("connect", request("connect", uuid4())), 401, "unauthorized")
    assert aws.executions() == []
