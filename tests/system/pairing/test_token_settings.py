"""The whole system with a Supabase project whose keys and tokens the tests change."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.jwks import SECRET, Project, served
from tests.support.postgres import Postgres
from tests.support.secret_search import Secrets, logs
from tests.support.stack import Answer, RunningSystem, call
from tests.system.pairing.projects import serving_users_of

OLD_ISSUER = "https://abcdefghijklmnopqrst.supabase.co/auth/v1"
# Far above what a slow machine needs, and below 300 s, for which API Gateway could keep an authorizer's answer.
SECONDS_FOR_A_NEW_KEY = 120


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """A Supabase project that publishes its keys."""
    with served(Project()) as project:
        yield project


@pytest.fixture(scope="module")
def stack(project: Project, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """The system for the users of this project."""
    folder = tmp_path_factory.mktemp("tokens")
    with serving_users_of(
        project, postgres, folder, f"AcceptedIssuers=https://other.example/auth/v1, {OLD_ISSUER}"
    ) as running:
        yield running


def status(stack: RunningSystem, token: str | None, **headers: str) -> Answer:
    """Ask for the session with a token."""
    sent = {} if token is None else {"Authorization": f"Bearer {token}"}
    return call("GET", f"{stack.url}/api/whatsapp/status", headers=sent | headers)


def test_a_token_of_a_new_key_is_accepted_in_seconds(stack: RunningSystem, project: Project) -> None:
    assert status(stack, project.token()).status == 200
    new = ec.generate_private_key(ec.SECP256R1())
    token = jwt.encode(project.claims(), new, "ES256", {"kid": "rotated"})
    assert status(stack, token).status == 401  # the key is not published yet

    project.add("rotated", new)
    until = time.monotonic() + SECONDS_FOR_A_NEW_KEY
    while status(stack, token).status != 200:
        assert time.monotonic() < until
        time.sleep(0.2)
    assert status(stack, project.token()).status == 200


def test_tokens_of_unknown_keys_cause_few_fetches(stack: RunningSystem, project: Project) -> None:
    asked = project.asked
    started = time.monotonic()
    for number in range(60):
        invented = jwt.encode(project.claims(), project.keys["ec"], "ES256", {"kid": f"invented-{number}"})
        assert status(stack, invented).status == 401
        assert status(stack, project.token()).status == 200
    # Each instance of the authorizer fetches the keys once, and then at most every five seconds.
    rounds = 1 + (time.monotonic() - started) / 5
    assert project.asked - asked <= rounds * (1 + len(stack.instances("authorizer")))


def test_a_token_that_names_the_first_address_is_accepted(stack: RunningSystem, project: Project) -> None:
    assert status(stack, project.token(iss=OLD_ISSUER)).status == 200
    assert status(stack, project.token(iss="https://stranger.example/auth/v1")).status == 401


def test_an_anonymous_user_is_told_to_sign_in_with_an_account(stack: RunningSystem, project: Project) -> None:
    answer = status(stack, project.token(is_anonymous=True))
    assert (answer.status, answer.json()["error"]) == (401, "anonymous_not_allowed")
    assert answer.json()["message"].startswith("Sign in with an account")


def test_each_refusal_logs_its_class_and_nothing_of_the_token(stack: RunningSystem, project: Project) -> None:
    """Runs last, because it ends the system to read its logs."""
    stranger = ec.generate_private_key(ec.SECP256R1())
    now = int(time.time())
    secrets = Secrets()
    tokens: dict[str, str | None] = {
        "no_token": None,
        "malformed": 'forged"}\t{"refusal":"x',
        "too_long": "secret-in-a-token" * 500,
        "algorithm": jwt.encode(project.claims(), SECRET, "HS256"),
        "unknown_key": jwt.encode(project.claims(), stranger, "ES256", {"kid": "secret-key-id"}),
        "signature": project.token(key=stranger),
        "expired": project.token(exp=now - 60),
        "not_yet_valid": project.token(nbf=now + 600),
        "issuer": project.token(iss="https://secret-issuer.example"),
        "audience": project.token(aud="secret-audience"),
        "role": project.token(role="secret-role"),
        "subject": project.token(sub="secret-subject"),
        "anonymous": project.token(is_anonymous=True),
    }
    ids: dict[str, str] = {}
    for refusal, token in tokens.items():
        answer = status(stack, token)
        assert answer.status == 401, refusal
        expected = "Bearer" if token is None else 'Bearer error="invalid_token"'
        assert answer.headers["WWW-Authenticate"] == expected
        ids[answer.headers["apigw-requestid"]] = refusal
        if token is not None and token.count(".") == 2:
            secrets.add_jwt(token)
    for name, value in [("scheme", "Basic never-to-be-written"), ("nothing", "Bearer ")]:
        answer = call("GET", f"{stack.url}/api/whatsapp/status", headers={"Authorization": value})
        assert (name, answer.status, answer.headers["WWW-Authenticate"]) == (name, 401, "Bearer")
        ids[answer.headers["apigw-requestid"]] = "no_token"
    assert stack.stop() == 0

    written = logs(stack)
    lines: list[dict[str, Any]] = [json.loads(line) for line in written["status"].splitlines() if '"refused"' in line]
    found = {line["correlation_id"]: line["refusal"] for line in lines if line["correlation_id"] in ids}
    assert found == ids
    assert len([line for line in lines if line["correlation_id"] in ids]) == len(ids)
    everything = "".join(written.values())
    assert secrets.found_in(everything) == set()
    for part in ("secret-", "never-to-be-written", "forged"):
        assert part not in everything
