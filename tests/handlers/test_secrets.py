"""If a secret is missing, forbidden or malformed, the error names the secret and not its value."""

from __future__ import annotations

import os
import traceback
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from whatsapp_pairing.core.errors import MisconfiguredError, SecretUnavailable
from whatsapp_pairing.runtime.settings import Settings, settings

from tests.support.asked_passwords import UrlSecret
from tests.support.handlers import App, Call, refused, request


@pytest.mark.parametrize(
    "form",
    [
        {"SecretString": "postgresql://me:s3cret@h/d"},
        {"SecretString": '"postgresql://me:s3cret@h/d"'},
        {"SecretString": '["postgresql://me:s3cret@h/d"]'},
        {"SecretString": '{"URL": "postgresql://me:s3cret@h/d"}'},
        {"SecretString": '{"url": ["s3cret"]}'},
        {"SecretString": '{"url": 5432}'},
        {"SecretString": '{"url": null}'},
        {"SecretString": '{"url": " "}'},
        {"SecretString": "{'url': 'postgresql://me:s3cret@h/d'}"},
        {"SecretString": '{"url": "postgresql://me:s3cret@h/d"'},
        {"SecretString": "null"},
        {"SecretString": " "},
        {"SecretBinary": b"\xff\xfes3cret"},
    ],
)
def test_a_secret_in_another_form_is_named(
    environment: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    call: Call,
    form: dict[str, Any],
) -> None:
    name = f"pairing/{uuid4()}/api"
    boto3.client("secretsmanager").create_secret(Name=name, **form)
    environment.delenv("DATABASE_URL")
    environment.setenv("DATABASE_SECRET_NAME", name)
    with pytest.raises(MisconfiguredError) as wrong:
        _ = Settings(dict(os.environ)).database_url
    told = "".join(traceback.format_exception(wrong.value))
    assert f'MisconfiguredError: The secret {name} is not JSON with a key "url".' in told
    assert "JSONDecodeError" not in told
    settings.cache_clear()
    refused(call("status", request("status", uuid4())), 500, "internal")
    logged = caplog.text + "".join(capsys.readouterr())
    assert name in logged
    assert "s3cret" not in told + logged


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ResourceNotFoundException", MisconfiguredError),
        ("AccessDeniedException", MisconfiguredError),
        ("DecryptionFailure", MisconfiguredError),
        ("InvalidRequestException", MisconfiguredError),
        ("ThrottlingException", SecretUnavailable),
        ("InternalServiceError", SecretUnavailable),
    ],
)
def test_a_secret_that_cannot_be_read_is_named(
    environment: pytest.MonkeyPatch, code: str, error: type[Exception]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetSecretValue")

    environment.setattr(BaseClient, "_make_api_call", refuse)
    with pytest.raises(error) as wrong:
        _ = Settings({"DATABASE_SECRET_NAME": f"pairing/{uuid4()}"}).database_url
    assert "pairing/" in str(wrong.value)
    assert code in str(wrong.value)


@pytest.mark.parametrize("name", ["linker", "unlink", "probe"])
@pytest.mark.parametrize("chosen", [True, False], ids=["proxy", "direct"])
def test_an_engine_gets_the_proxy_of_its_secret(
    environment: pytest.MonkeyPatch, app: App, name: str, chosen: bool
) -> None:
    secret = UrlSecret("socks5://me:s3cret@proxy.example.com:1080")
    environment.setenv("WHATSAPP_PROXY_SECRET_NAME", secret.name if chosen else "")
    settings.cache_clear()
    module, given = app(name), []
    environment.setattr(module, "ProcessEngine", lambda *urls, **named: given.extend([*urls, *named.values()]))
    module.engine()
    proxy = given[-1]
    assert (proxy and proxy()) == ("socks5://me:s3cret@proxy.example.com:1080" if chosen else None)
