"""A handler answers every event that API Gateway can send, and never with a 5xx."""

from __future__ import annotations

import base64
import json
import string
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whatsapp_pairing.core.denials import Denial
from whatsapp_pairing.runtime.settings import settings as environment_settings

from tests.support.handlers import ROOT, Context, load
from tests.support.jwks import Project, served, unsigned

pytestmark = pytest.mark.filterwarnings("ignore:No application metrics:UserWarning")

# All examples of a test share the database, so an example may find rows of an earlier one.
many = settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

NAMES = ["accept", "accept-language", "if-none-match", "content-type", "origin", "user-agent", "x-forwarded-for"]
texts = st.text(max_size=40) | st.sampled_from(["*/*", "image/png", "es;q=0.9,", '"x", *', ";,;", "\0", "é" * 3000])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
# A recursive strategy would choose deep values too often.
json_values = scalars | st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
headers = st.dictionaries(st.sampled_from(NAMES) | st.text(string.ascii_lowercase + "-", min_size=1), texts, max_size=6)


def requests(path: st.SearchStrategy[str], found: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """HTTP API requests in payload format 2.0, with random values in each field that a caller can set."""
    bodies = texts.map(lambda body: {"body": body, "isBase64Encoded": False}) | st.binary(max_size=2000).map(
        lambda body: {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    )
    return st.builds(
        lambda path, method, headers, found, body, extra: {
            "version": "2.0",
            "routeKey": f"{method} {path}",
            "rawPath": path,
            "rawQueryString": "",
            "headers": headers,
            "requestContext": {
                "authorizer": {"lambda": found},
                "http": {"method": method, "path": path, "sourceIp": "203.0.113.7"},
                "requestId": "U1dkHgl7DoEEJAg=",
            },
            "isBase64Encoded": False,
            **extra,
            **body,
        },
        path,
        st.sampled_from(["GET", "POST"]),
        headers,
        found,
        st.just({}) | bodies,
        st.fixed_dictionaries(
            {},
            optional={
                "cookies": st.lists(texts, max_size=3),
                "queryStringParameters": st.dictionaries(texts, texts, max_size=3),
                "pathParameters": st.dictionaries(texts, texts, max_size=3),
                "stageVariables": st.dictionaries(texts, texts, max_size=3),
            },
        ),
    )


def answered(answer: Any) -> None:
    """Check that API Gateway can pass the answer on, and that its status is below 500."""
    assert 200 <= answer["statusCode"] < 500, answer
    assert all(isinstance(value, str) and value.isprintable() for value in answer["headers"].values())
    json.dumps(answer).encode()


@pytest.fixture
def handler(app: Callable[[str], ModuleType]) -> Callable[[str], Callable[[Any], Any]]:
    """Returns the handler of a function. All events of a test go to the same instance."""

    def warm(name: str) -> Callable[[Any], Any]:
        module = app(name)
        return lambda event: module.handler(event, Context())

    return warm


def known(user: UUID) -> dict[str, str]:
    return {"userId": str(user), "expiresAt": str(int(time.time() + 600))}


PATHS = {
    "connect": "/api/whatsapp/connect",
    "status": "/api/whatsapp/status",
    "qr": "/api/whatsapp/qr",
    "disconnect": "/api/whatsapp/disconnect",
}


@pytest.mark.parametrize("name", PATHS)
def test_any_request_of_a_user_is_answered(handler: Any, user: UUID, name: str) -> None:
    ask = handler({"qr": "status"}.get(name, name))

    @many
    @given(event=requests(st.just(PATHS[name]) | texts, st.just(known(user))))
    def run(event: dict[str, Any]) -> None:
        answer = ask(event)
        answered(answer)
        assert answer["statusCode"] != 401

    run()


@pytest.mark.parametrize("name", PATHS)
def test_any_other_answer_of_the_authorizer_is_a_401(handler: Any, name: str) -> None:
    """API Gateway passes on texts, numbers and booleans only. The test tries other values, too."""
    ask = handler({"qr": "status"}.get(name, name))
    found = json_values | st.fixed_dictionaries({"userId": json_values, "expiresAt": json_values})

    @many
    @given(event=requests(st.just(PATHS[name]), found))
    def run(event: dict[str, Any]) -> None:
        answer = ask(event)
        answered(answer)
        assert answer["statusCode"] in (401, 413)

    run()


@pytest.mark.parametrize("name", ["connect", "status", "disconnect"])
def test_any_json_is_answered(handler: Any, name: str) -> None:
    ask = handler(name)

    @many
    @given(event=st.dictionaries(st.sampled_from(["headers", "requestContext", "body"]) | texts, json_values))
    def run(event: dict[str, Any]) -> None:
        answered(ask(event))

    run()


def test_the_page_answers_any_request() -> None:
    page = load(ROOT / "functions" / "page" / "app.py", "tests_functions_page")
    files = st.none() | texts | st.sampled_from(["app.js", "config.json", "../app.py", "index.html", "static", "a/b/"])

    @many
    @given(event=requests(texts, st.none()), file=files)
    def run(event: dict[str, Any], file: str | None) -> None:
        answered(page.handler(event | ({} if file is None else {"pathParameters": {"proxy": file}}), Context()))

    run()


# ── the authorizer ──


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """A project whose keys are served."""
    with served(Project()) as project:
        yield project


@pytest.fixture
def authorize(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Asks one instance of the authorizer about each Authorization header."""
    monkeypatch.setenv("SUPABASE_URL", project.url)
    environment_settings.cache_clear()
    module = load(ROOT / "functions" / "authorizer" / "app.py", "tests_functions_authorizer")

    def ask(authorization: str) -> Any:
        event = {"version": "2.0", "type": "REQUEST", "headers": {"authorization": authorization}}
        return module.handler(event, Context())

    yield ask
    environment_settings.cache_clear()


def is_nobody(answer: Any) -> bool:
    """Whether the authorizer names no user, but a known class of denial."""
    return bool(
        answer == {"isAuthorized": True, "context": {"refused": Denial.parse(answer["context"].get("refused"))}}
    )


def test_any_authorization_names_no_user(authorize: Callable[[str], Any]) -> None:
    heads = st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"]), json_values, max_size=4)
    sane = st.fixed_dictionaries({"alg": st.sampled_from(["ES256", "RS256", "HS256", "none"]), "kid": json_values})
    tokens = st.builds(unsigned, heads | sane, json_values, st.binary(max_size=70))  # type: ignore[arg-type]
    schemes = st.sampled_from(["", "Bearer ", "bearer  ", "Basic "])

    @many
    @given(scheme=schemes, token=tokens | texts | st.text(".=-_" + string.ascii_letters, max_size=300))
    def run(scheme: str, token: str) -> None:
        assert is_nobody(authorize(scheme + token))

    run()


@pytest.mark.parametrize("claim", ["sub", "aud", "iss", "role", "exp", "iat", "nbf", "jti", "is_anonymous", "aal"])
def test_any_signed_claim_names_its_user_or_no_user(
    authorize: Callable[[str], Any], project: Project, claim: str
) -> None:
    @many
    @given(value=json_values)
    def run(value: object) -> None:
        try:
            token = project.token(**{claim: value})
        except TypeError:
            return  # PyJWT refuses to sign an issuer that is not a text
        answer = authorize(f"Bearer {token}")
        assert is_nobody(answer) or answer["context"]["userId"] == str(project.user)

    run()


def test_any_level_but_the_demanded_one_names_no_user(
    authorize: Callable[[str], Any], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUIRED_ASSURANCE_LEVEL", "aal2")
    environment_settings.cache_clear()

    @many
    @given(level=json_values | st.sampled_from(["aal1", "aal2", "aal3", "AAL2"]))
    def run(level: object) -> None:
        context = authorize(f"Bearer {project.token(aal=level)}")["context"]
        assert context.get("userId") == (str(project.user) if level == "aal2" else None)
        assert context.get("refused") in ([None] if level == "aal2" else ["second_factor", "too_long"])

    run()
