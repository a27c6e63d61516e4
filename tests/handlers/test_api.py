"""What all calls of the API do alike: they need a user, and they answer errors in one form."""

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
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.settings import settings

from tests.support.handlers import Aws, Call, Context, refused, request

CALLS = ["connect", "status", "qr", "disconnect"]


@pytest.mark.parametrize("name", CALLS)
def test_a_request_without_a_user_is_a_401(call: Call, name: str) -> None:
    response = call(name, request(name, None))
    refused(response, 401, "unauthorized")
    assert response["headers"]["WWW-Authenticate"] == "Bearer"


# The answers to those denials that are not answered by 401 "unauthorized".
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
def test_a_weak_sign_in_is_asked_for_the_second_factor(call: Call, aws: Aws, name: str) -> None:
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
def test_a_database_that_is_away_is_a_503_with_a_log_line(
    call: Call, environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv("DATABASE_URL", "postgresql://me:topsecret@127.0.0.1:1/db")
    settings.cache_clear()
    user = uuid4()
    asked = request(name, user)
    said = refused(call(name, asked), 503, "unavailable")
    assert "127.0.0.1" not in json.dumps(said)

    # Every answer has this id as apigw-requestid, so an operator can find its lines in the log.
    assert logger.get_correlation_id() == asked["requestContext"]["requestId"]
    assert logger.get_current_keys()["user_id"] == str(user)


@pytest.mark.parametrize("name", CALLS)
def test_a_missing_setting_is_a_500_in_the_api_s_form(call: Call, environment: pytest.MonkeyPatch, name: str) -> None:
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


def test_a_bug_is_a_500_without_its_text(app: Callable[[str], ModuleType], environment: pytest.MonkeyPatch) -> None:
    status = app("status")

    def broken() -> None:
        raise ZeroDivisionError("the secret of life")

    environment.setattr(status, "database", broken)
    response = status.handler(request("status", uuid4()), Context())
    refused(response, 500, "internal")
    assert "secret of life" not in json.dumps(response)
