"""The whole system, and the operator demands a second factor."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.jwks import Project, served
from tests.support.postgres import Postgres
from tests.support.secret_search import Secrets, logs
from tests.support.stack import Answer, RunningSystem, call
from tests.system.pairing.projects import serving_users_of

CALLS = [("POST", "connect"), ("GET", "status"), ("GET", "qr"), ("POST", "disconnect")]
STEP_UP = 'Bearer error="insufficient_user_authentication"'


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """A Supabase project that publishes its keys."""
    with served(Project()) as project:
        yield project


@pytest.fixture(scope="module")
def stack(project: Project, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """The system for the users of this project."""
    folder = tmp_path_factory.mktemp("second_factor")
    with serving_users_of(project, postgres, folder, "RequiredAssuranceLevel=aal2") as running:
        yield running


def ask(stack: RunningSystem, token: str, method: str = "GET", path: str = "status") -> Answer:
    """Call the API with a token."""
    return call(method, f"{stack.url}/api/whatsapp/{path}", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_call_asks_for_the_second_factor(stack: RunningSystem, project: Project, method: str, path: str) -> None:
    answer = ask(stack, project.token(aal="aal1"), method, path)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (403, STEP_UP)
    assert answer.json() == {
        "success": False,
        "error": "second_factor_required",
        "message": "Sign in with your second factor: this service asks for it.",
    }


@pytest.mark.parametrize("level", [None, "AAL2", "aal3", "", ["aal2"], 2, True, {"aal2": True}], ids=repr)
def test_an_unknown_level_is_below_the_demanded_one(stack: RunningSystem, project: Project, level: object) -> None:
    answer = ask(stack, project.token(aal=level))
    assert (answer.status, answer.json()["error"]) == (403, "second_factor_required")


def test_a_user_with_the_second_factor_is_served(stack: RunningSystem, project: Project) -> None:
    assert ask(stack, project.token(aal="aal1")).status == 403
    answer = ask(stack, project.token(aal="aal2"))
    assert (answer.status, answer.json()["status"]) == (200, "disconnected")
    assert ask(stack, project.token(aal="aal1")).status == 403  # the answer to the user's better token is not kept


@pytest.mark.parametrize("level", ["aal1", "aal2"])
def test_a_bad_token_is_answered_401_before_the_second_factor(
    stack: RunningSystem, project: Project, level: str
) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    for changed in ({"key": stranger}, {"exp": int(time.time()) - 2}, {"exp": int(time.time()) - 60}, {"aud": "admin"}):
        answer = ask(stack, project.token(aal=level, **changed))  # type: ignore[arg-type]
        assert (answer.status, answer.json()["error"]) == (401, "unauthorized"), changed
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_an_anonymous_user_is_first_asked_for_an_account(stack: RunningSystem, project: Project) -> None:
    answer = ask(stack, project.token(aal="aal1", is_anonymous=True))
    assert (answer.status, answer.json()["error"]) == (401, "anonymous_not_allowed")


def test_a_refusal_logs_its_class_and_nothing_of_the_token(stack: RunningSystem, project: Project) -> None:
    """Runs last, because it ends the system to read its logs."""
    user = str(uuid4())
    secrets = Secrets()
    ids = set()
    for level in ("aal1", "secret-level"):
        token = project.token(sub=user, aal=level)
        secrets.add_jwt(token)
        ids |= {ask(stack, token, method, path).headers["apigw-requestid"] for method, path in CALLS}
    assert stack.stop() == 0

    written = logs(stack)
    lines = [json.loads(line) for log in written.values() for line in log.splitlines() if '"refused"' in line]
    found = {line["correlation_id"]: line["refusal"] for line in lines if line["correlation_id"] in ids}
    assert found == dict.fromkeys(ids, "second_factor")
    everything = "".join(written.values())
    assert secrets.found_in(everything) == set()
    assert "secret-level" not in everything
