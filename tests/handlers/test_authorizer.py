"""The authorizer names the user of a valid token. It allows every request, because the handlers answer 401."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from whatsapp_pairing.core.denials import Denial
from whatsapp_pairing.core.errors import MisconfiguredError, Unavailable
from whatsapp_pairing.runtime.settings import settings

from tests.support.handlers import ROOT, Aws, Context, event, load
from tests.support.jwks import Project, served


def nobody(refusal: Denial) -> dict[str, Any]:
    """The authorizer's answer to a request without a user."""
    return {"isAuthorized": True, "context": {"refused": str(refusal)}}


@pytest.fixture(scope="module")
def published() -> Iterator[Project]:
    """A project whose keys are served."""
    with served(Project()) as project:
        yield project


@pytest.fixture
def project(published: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The project that the authorizer is set up for."""
    published.reset()
    monkeypatch.setenv("SUPABASE_URL", published.url + "/")
    settings.cache_clear()
    yield published
    settings.cache_clear()


def ask(authorization: str | None) -> Any:
    module = load(ROOT / "functions" / "authorizer" / "app.py", "tests_functions_authorizer")
    asked = event("authorizer")
    del asked["headers"]["authorization"]
    if authorization is not None:
        asked["headers"]["authorization"] = authorization
    return module.handler(asked, Context())


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_valid_token_names_its_user_and_its_end(project: Project, scheme: str) -> None:
    expires = int(project.claims()["exp"])  # type: ignore[call-overload]
    answer = ask(f"{scheme} {project.token(exp=expires)}")
    assert answer == {
        "isAuthorized": True,
        "context": {"userId": str(project.user), "expiresAt": str(expires)},
    }


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer\t", "Basic bWU6eA==", "x" * 10_000, "Token a.b.c", "a.b.c"]
)
def test_without_a_bearer_token_it_names_no_user(project: Project, authorization: str | None) -> None:
    assert ask(authorization) == nobody(Denial.NO_TOKEN)


def test_a_token_without_its_scheme_names_no_user(project: Project) -> None:
    assert ask(project.token()) == nobody(Denial.NO_TOKEN)
    assert ask(f"Token {project.token()}") == nobody(Denial.NO_TOKEN)


def test_a_bad_token_names_its_class(project: Project) -> None:
    assert ask("Bearer a.b.c") == nobody(Denial.MALFORMED)
    assert ask(f"Bearer {project.token()},Bearer {project.token()}") == nobody(Denial.MALFORMED)
    assert ask(f"Bearer {project.token(exp=1_700_000_000)}") == nobody(Denial.EXPIRED)
    assert ask(f"Bearer {'x' * 9000}") == nobody(Denial.TOO_LONG)


def test_the_template_names_other_issuers(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    token = project.token(iss="https://abcd.supabase.co/auth/v1")
    assert ask(f"Bearer {token}") == nobody(Denial.ISSUER)
    monkeypatch.setenv("ACCEPTED_ISSUERS", "https://other.example, https://abcd.supabase.co/auth/v1")
    settings.cache_clear()
    assert ask(f"Bearer {token}")["context"]["userId"] == str(project.user)


def test_the_template_allows_anonymous_users(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    token = project.token(is_anonymous=True)
    assert ask(f"Bearer {token}") == nobody(Denial.ANONYMOUS)
    monkeypatch.setenv("ALLOW_ANONYMOUS_USERS", "true")
    settings.cache_clear()
    assert ask(f"Bearer {token}")["context"]["userId"] == str(project.user)


@pytest.fixture
def second_factor(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the parameter that demands a second factor."""
    monkeypatch.setenv("REQUIRED_ASSURANCE_LEVEL", "aal2")
    settings.cache_clear()


@pytest.mark.parametrize("level", [None, "aal1", "AAL2", "aal3", "aal2 ", "", ["aal2"], {"aal2": 1}, 2, True], ids=repr)
@pytest.mark.usefixtures("second_factor")
def test_a_sign_in_below_the_demanded_level_names_no_user(project: Project, level: object) -> None:
    expires = int(project.claims()["exp"])  # type: ignore[call-overload]
    answer = ask(f"Bearer {project.token(aal=level, exp=expires)}")
    assert answer == {"isAuthorized": True, "context": {"refused": "second_factor", "expiresAt": str(expires)}}


@pytest.mark.usefixtures("second_factor")
def test_a_sign_in_of_the_demanded_level_names_its_user(project: Project) -> None:
    assert ask(f"Bearer {project.token(aal='aal2')}")["context"]["userId"] == str(project.user)


@pytest.mark.parametrize("level", [None, "aal1", "aal2", "AAL2", ["aal2"]], ids=repr)
def test_any_level_is_accepted_where_none_is_demanded(project: Project, level: object) -> None:
    assert ask(f"Bearer {project.token(aal=level)}")["context"]["userId"] == str(project.user)


@pytest.mark.usefixtures("second_factor")
def test_a_bad_token_is_not_asked_for_a_second_factor(project: Project) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    for level in ("aal1", "aal2"):
        assert ask(f"Bearer {project.token(aal=level, key=stranger)}") == nobody(Denial.SIGNATURE)
        assert ask(f"Bearer {project.token(aal=level, exp=1_700_000_000)}") == nobody(Denial.EXPIRED)
        assert ask(f"Bearer {project.token(aal=level, is_anonymous=True)}") == nobody(Denial.ANONYMOUS)
    assert ask(None) == nobody(Denial.NO_TOKEN)


def test_a_misspelt_level_refuses_every_token(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRED_ASSURANCE_LEVEL", "AAL2")
    settings.cache_clear()
    with pytest.raises(MisconfiguredError, match="REQUIRED_ASSURANCE_LEVEL"):
        ask(f"Bearer {project.token(aal='aal2')}")
    assert ask("Bearer a.b.c") == nobody(Denial.MALFORMED)


def test_a_token_is_not_logged(project: Project, caplog: pytest.LogCaptureFixture, capsys: Any) -> None:
    caplog.set_level("DEBUG")
    token = project.token()
    for sent in (token, token + "x"):
        ask(f"Bearer {sent}")
    written = caplog.text + "".join(capsys.readouterr())
    assert token.rpartition(".")[0] not in written


def test_a_legacy_token_is_accepted_when_its_secret_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, aws: Aws
) -> None:
    secret = "a shared secret of more than thirty-two bytes"
    token = jwt.encode(project.claims(), secret, "HS256")
    assert ask(f"Bearer {token}") == nobody(Denial.ALGORITHM)

    boto3.client("secretsmanager").create_secret(Name="legacy/jwt", SecretString=json.dumps({"secret": secret}))
    monkeypatch.setenv("LEGACY_JWT_SECRET_NAME", "legacy/jwt")
    settings.cache_clear()
    assert ask(f"Bearer {token}")["context"]["userId"] == str(project.user)


def test_a_failed_fetch_of_the_legacy_secret_raises_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch, aws: Aws
) -> None:
    monkeypatch.setenv("LEGACY_JWT_SECRET_NAME", "legacy/missing")
    settings.cache_clear()
    with pytest.raises(MisconfiguredError, match="The secret legacy/missing cannot be read"):
        ask(f"Bearer {jwt.encode(project.claims(), 'x' * 40, 'HS256')}")
    assert ask(f"Bearer {project.token()}")["context"]["userId"] == str(project.user)


@pytest.mark.parametrize("form", ["x" * 40, json.dumps("x" * 40), json.dumps({"key": "x" * 40}), '{"secret": 1}'])
def test_a_legacy_secret_in_another_form_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, aws: Aws, form: str
) -> None:
    boto3.client("secretsmanager").create_secret(Name=f"legacy/{uuid4()}", SecretString=form)
    (secret,) = boto3.client("secretsmanager").list_secrets()["SecretList"]
    monkeypatch.setenv("LEGACY_JWT_SECRET_NAME", secret["Name"])
    settings.cache_clear()
    with pytest.raises(MisconfiguredError) as wrong:
        ask(f"Bearer {jwt.encode(project.claims(), 'x' * 40, 'HS256')}")
    assert str(wrong.value) == f'The secret {secret["Name"]} is not JSON with a key "secret".'
    assert "xxx" not in "".join(traceback.format_exception(wrong.value))


def test_a_failed_fetch_of_keys_raises_an_error(project: Project) -> None:
    """The token may be valid, so the answer must not call it wrong."""
    project.instead = (503, b"")
    with pytest.raises(Unavailable):
        ask(f"Bearer {project.token()}")
    project.instead = None
    assert ask(f"Bearer {project.token()}")["context"]["userId"] == str(project.user)
