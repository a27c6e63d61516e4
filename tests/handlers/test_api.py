"""The four calls of the HTTP API, as the contract's table says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import boto3
import pytest
from whatsapp_pairing.core.denials import Denial
from whatsapp_pairing.core.notices import Notice, instruction
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.settings import settings
from whatsapp_pairing.runtime.workflow import Workflow

from tests.support.handlers import Aws, Call, Context, body, end, refused, request, show
from tests.support.metrics import Metric, metrics_in, values
from tests.support.world import Secret

STATUS = {
    "success", "status", "connected", "qr", "qrExpiresAt", "attempt", "phoneNumber", "connectedAt", "lastSeen",
    "messagesSent", "messagesReceived", "error", "notice", "pollAfterMs",
}  # fmt: skip
CALLS = ["connect", "status", "qr", "disconnect"]


# ── who calls ──


@pytest.mark.parametrize("name", CALLS)
def test_nobody_is_told_to_sign_in(call: Call, name: str) -> None:
    response = call(name, request(name, None))
    refused(response, 401, "unauthorized")
    assert response["headers"]["WWW-Authenticate"] == "Bearer"


# What is answered for a class of refusal, where it is not 401 "unauthorized".
ANSWERS = {
    Denial.ANONYMOUS: (401, "anonymous_not_allowed"),
    Denial.SECOND_FACTOR: (403, "second_factor_required"),
}


@pytest.mark.parametrize(
    ("name", "refusal"),
    [("status", refusal) for refusal in Denial] + [(name, Denial.SECOND_FACTOR) for name in CALLS],
)
def test_a_refusal_is_one_line_of_the_log(
    call: Call, name: str, refusal: Denial, caplog: pytest.LogCaptureFixture
) -> None:
    asked = request(name, None, {"authorization": "Bearer never-to-be-written"})
    asked["requestContext"]["authorizer"]["lambda"] = {"refused": str(refusal)}
    refused(call(name, asked), *ANSWERS.get(refusal, (401, "unauthorized")))
    (line,) = caplog.records
    assert (line.message, vars(line)["refusal"], line.levelname) == ("refused", refusal, "INFO")
    assert logger.get_correlation_id() == asked["requestContext"]["requestId"]
    assert "never-to-be-written" not in str(vars(line))


@pytest.mark.parametrize("name", CALLS)
def test_a_token_that_has_ended_since_is_refused(
    call: Call, name: str, user: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    response = call(name, request(name, user, lives=-1))
    refused(response, 401, "unauthorized")
    assert response["headers"]["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert [vars(line)["refusal"] for line in caplog.records] == ["expired"]


@pytest.mark.parametrize("name", CALLS)
def test_a_weak_sign_in_is_told_to_use_the_second_factor(call: Call, aws: Aws, name: str) -> None:
    asked = request(name, None)
    asked["requestContext"]["authorizer"]["lambda"] = {
        "refused": "second_factor",
        "expiresAt": str(int(time.time()) + 60),
    }
    response = call(name, asked)
    said = refused(response, 403, "second_factor_required")
    assert said["message"].startswith("Sign in with your second factor")
    assert response["headers"]["WWW-Authenticate"] == 'Bearer error="insufficient_user_authentication"'
    assert aws.executions() == []


@pytest.mark.parametrize("name", CALLS)
def test_a_weak_token_that_has_ended_since_is_expired(call: Call, name: str, caplog: pytest.LogCaptureFixture) -> None:
    asked = request(name, None)
    asked["requestContext"]["authorizer"]["lambda"] = {
        "refused": "second_factor",
        "expiresAt": str(int(time.time()) - 1),
    }
    refused(call(name, asked), 401, "unauthorized")
    assert [vars(line)["refusal"] for line in caplog.records] == ["expired"]


@pytest.mark.parametrize("name", CALLS)
def test_a_database_that_is_away_is_a_503_that_says_nothing_but_to_the_log(
    call: Call, environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv("DATABASE_URL", "postgresql://me:topsecret@127.0.0.1:1/db")
    settings.cache_clear()
    user = uuid4()
    asked = request(name, user)
    said = refused(call(name, asked), 503, "unavailable")
    assert "127.0.0.1" not in json.dumps(said)

    # What every answer carries as apigw-requestid leads to its lines.
    assert logger.get_correlation_id() == asked["requestContext"]["requestId"]
    assert logger.get_current_keys()["user_id"] == str(user)


@pytest.mark.parametrize("name", CALLS)
def test_a_missing_setting_is_a_500_in_the_apis_words(call: Call, environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv("DATABASE_URL")
    settings.cache_clear()
    refused(call(name, request(name, uuid4())), 500, "internal")


def test_the_database_url_may_come_from_a_secret(
    call: Call, environment: pytest.MonkeyPatch, world: Any, user: UUID
) -> None:
    client = boto3.client("secretsmanager")
    client.create_secret(Name="pairing/database", SecretString=json.dumps({"url": world.url}))
    client.create_secret(Name="pairing/empty", SecretString="{}")
    environment.delenv("DATABASE_URL")
    environment.setenv("DATABASE_SECRET_NAME", "pairing/database")
    settings.cache_clear()
    assert call("status", request("status", user))["statusCode"] == 200
    environment.setenv("DATABASE_SECRET_NAME", "pairing/empty")
    settings.cache_clear()
    refused(call("status", request("status", user)), 500, "internal")


# ── connect ──


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


def test_connect_when_connected_says_so(call: Call, aws: Aws, world: Any, user: UUID) -> None:
    world.link(user, Secret())
    response = call("connect", request("connect", user))
    answer = body(response)
    assert response["statusCode"] == 200
    assert (answer["status"], answer["connected"], answer["phoneNumber"]) == ("connected", True, "5215550001")
    assert aws.executions() == []


def test_connect_too_soon_says_when(call: Call, aws: Aws, world: Any, user: UUID) -> None:
    end(world, world.claim(user), Reason.QR_TIMEOUT)
    response = call("connect", request("connect", user))
    refused(response, 429, "too_soon")
    assert 3 <= int(response["headers"]["Retry-After"]) <= 5
    assert aws.executions() == []


def test_connect_beyond_what_the_system_is_meant_for_is_a_503_that_says_when(
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
    world.age(6)  # the pause after one failure

    assert call("connect", request("connect", user))["statusCode"] == 202
    assert len(aws.executions()) == 1


def test_connect_counts_what_it_started_for_the_stack_and_for_nobody_in_particular(
    call: Call, user: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    call("connect", request("connect", user))
    service = (("service", "whatsapp-pairing"),)
    assert metrics_in(capsys.readouterr().out) == [Metric("WhatsAppPairing", "PairingStarted", service, "Count", 1.0)]
    call("connect", request("connect", user))
    assert metrics_in(capsys.readouterr().out) == []


def test_disconnect_counts_the_pairing_that_it_ends_and_not_the_session(
    call: Call, world: Any, user: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    world.claim(user)
    call("disconnect", request("disconnect", user))
    assert values(metrics_in(capsys.readouterr().out), "PairingEnded", outcome="cancelled") == [1]
    world.age(10)
    world.link(user, Secret())
    assert body(call("disconnect", request("disconnect", user)))["status"] == "disconnected"
    assert metrics_in(capsys.readouterr().out) == []


def test_connect_of_a_user_who_was_deleted_is_no_server_error(call: Call, aws: Aws) -> None:
    """Their token is good for up to an hour longer."""
    refused(call("connect", request("connect", uuid4())), 401, "unauthorized")
    assert aws.executions() == []


# ── status ──


def test_status_of_a_new_user(call: Call, user: UUID) -> None:
    answer = body(call("status", request("status", user)))
    assert answer == {
        "success": True, "status": "disconnected", "connected": False, "qr": None, "qrExpiresAt": None,
        "attempt": None, "phoneNumber": None, "connectedAt": None, "lastSeen": None, "messagesSent": 0,
        "messagesReceived": 0, "error": None, "notice": None, "pollAfterMs": 15000,
    }  # fmt: skip


def test_status_shows_the_qr_and_its_end(call: Call, world: Any, user: UUID) -> None:
    secret = Secret()
    attempt_id = show(world, user, secret)
    answer = body(call("status", request("status", user)))
    assert (answer["status"], answer["qr"], answer["pollAfterMs"]) == ("waiting_qr", secret.text(), 1000)
    assert answer["attempt"]["id"] == str(attempt_id)
    assert answer["qrExpiresAt"] is not None
    assert answer["attempt"]["deadline"] > answer["attempt"]["startedAt"]


def test_status_says_what_the_person_is_asked_to_do(call: Call, world: Any, user: UUID) -> None:
    show(world, user, Secret())
    etag = call("status", request("status", user, {"accept-language": "es"}))["headers"]["ETag"]
    world.sql("UPDATE whatsapp_private.attempts SET notice = 'scan_again' WHERE user_id = %s", user)
    response = call("status", request("status", user, {"accept-language": "es", "if-none-match": etag}))
    assert response["statusCode"] == 200
    assert body(response)["notice"] == {"code": "scan_again", "message": instruction(Notice.SCAN_AGAIN, "es")}


# ── qr ──


def test_no_qr_is_a_404(call: Call, world: Any, user: UUID) -> None:
    refused(call("qr", request("qr", user)), 404, "no_qr")
    world.claim(user)
    refused(call("qr", request("qr", user)), 404, "no_qr")


# ── disconnect ──


def test_disconnect_with_nothing_to_end(call: Call, aws: Aws, user: UUID) -> None:
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


def test_disconnect_with_a_token_that_is_long_gone(call: Call, world: Any, user: UUID) -> None:
    world.open_auth(show(world, user, Secret()), "token-auth")  # Step Functions never gave such a token
    assert body(call("disconnect", request("disconnect", user)))["status"] == "disconnected"


# ── an unexpected failure ──


def test_a_bug_is_a_500_without_its_words(app: Callable[[str], ModuleType], environment: pytest.MonkeyPatch) -> None:
    status = app("status")

    def broken() -> None:
        raise ZeroDivisionError("the secret of life")

    environment.setattr(status, "database", broken)
    response = status.handler(request("status", uuid4()), Context())
    refused(response, 500, "internal")
    assert "secret of life" not in json.dumps(response)
