"""The `/dev` paths, which the local system adds to the template's routes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid

import jwt
import psycopg
import pytest

from tests.support.stack import PATIENCE_SECONDS, call
from tests.tools.local.fixture_runner import ORIGIN, FixtureRunner


def test_a_development_token_has_supabase_s_claims(runner: FixtureRunner) -> None:
    answer = call("POST", f"{runner.url}/dev/token").json()

    keys = jwt.PyJWKSet.from_dict(call("GET", f"{runner.url}/auth/v1/.well-known/jwks.json").json())
    key = keys[jwt.get_unverified_header(answer["accessToken"])["kid"]]
    claims = jwt.decode(answer["accessToken"], key, ["ES256"], audience="authenticated", issuer=f"{runner.url}/auth/v1")
    assert claims["sub"] == answer["userId"]
    assert claims["role"] == "authenticated"
    assert claims["exp"] - claims["iat"] == 3600


@pytest.mark.parametrize(
    ("asked", "level"), [({}, "aal1"), ({"aal": "aal1"}, "aal1"), ({"aal": "aal2"}, "aal2")], ids=str
)
def test_a_development_token_has_the_requested_level(runner: FixtureRunner, asked: dict[str, str], level: str) -> None:
    token = call("POST", f"{runner.url}/dev/token", asked).json()["accessToken"]

    assert jwt.decode(token, options={"verify_signature": False})["aal"] == level


def test_the_first_token_creates_its_user(runner: FixtureRunner) -> None:
    user_id = str(uuid.uuid4())
    for _ in range(2):
        assert call("POST", f"{runner.url}/dev/token", {"userId": user_id}).json()["userId"] == user_id

    url = runner.ask("/probe", do="secret").json()["url"].replace("whatsapp_api@", "postgres@")
    with psycopg.connect(url) as connection:
        found = connection.execute("select count(*) from auth.users where id = %s", (user_id,)).fetchone()
    assert found == (1,)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("token", {"userId": "me"}),
        ("token", {"userId": 7}),
        ("token", ["x"]),
        ("token", {"aal": "aal3"}),
        ("token", {"aal": ["aal2"]}),
        ("token", {"aal": None}),
        ("phone/scan", {"qr": "x"}),
    ],
)
def test_malformed_input_of_a_dev_path_is_refused(runner: FixtureRunner, path: str, body: object) -> None:
    answer = call("POST", f"{runner.url}/dev/{path}", body)

    assert answer.status == 400
    assert answer.json()["error"] == "bad_request"


def test_json_that_is_nested_too_deep_is_refused(runner: FixtureRunner) -> None:
    request = urllib.request.Request(f"{runner.url}/dev/token", b"[" * 100_000, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=PATIENCE_SECONDS)
    assert (refused.value.code, json.load(refused.value)["error"]) == (400, "bad_request")


def test_a_wrong_method_on_a_dev_path_is_refused(runner: FixtureRunner) -> None:
    answer = runner.get("/dev/token")

    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_the_phone_path_is_missing_without_the_sandbox(runner: FixtureRunner) -> None:
    answer = call("POST", f"{runner.url}/dev/phone/scan", {"qr": "x", "number": "1"})

    assert answer.status == 404
    assert answer.json()["error"] == "no_sandbox_phone"
    config = runner.get("/dev/config").json()
    assert config.pop("awsEndpoint").startswith("http://127.0.0.1:")
    assert config == {"whatsapp": "live", "sandboxPhone": False, "sandboxControl": None}


@pytest.mark.parametrize(("method", "path"), [("POST", "token"), ("GET", "config"), ("POST", "phone/scan")])
def test_an_allowed_origin_may_use_the_dev_paths(runner: FixtureRunner, method: str, path: str) -> None:
    asked = runner.get(f"/dev/{path}", "OPTIONS", Origin=ORIGIN, Access_Control_Request_Method=method)
    answer = runner.get(f"/dev/{path}", method, Origin=ORIGIN)

    assert (asked.status, asked.headers["access-control-allow-methods"]) == (204, "GET,POST")
    assert {one.headers["access-control-allow-origin"] for one in (asked, answer)} == {ORIGIN}


@pytest.mark.parametrize(("method", "path"), [("POST", "token"), ("GET", "config"), ("POST", "phone/scan")])
def test_a_foreign_origin_may_not_read_the_dev_paths(runner: FixtureRunner, method: str, path: str) -> None:
    foreign = "https://evil.example"
    asked = runner.get(f"/dev/{path}", "OPTIONS", Origin=foreign, Access_Control_Request_Method=method)

    for answer in (asked, runner.get(f"/dev/{path}", method, Origin=foreign)):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
