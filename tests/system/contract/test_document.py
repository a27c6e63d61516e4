"""infra/stack/openapi.yaml agrees with the code: routes, statuses, codes, reasons, examples."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import openapi_spec_validator
import pytest
from whatsapp_pairing.core.errors import PairingError, TooSoon
from whatsapp_pairing.core.notices import Notice, instruction
from whatsapp_pairing.core.reasons import Reason, sentence
from whatsapp_pairing.pairing.attempt import MOST_PER_HOUR, PAUSES
from whatsapp_pairing.session.session import Status
from whatsapp_pairing.web import http

from infra.local.gateway.server import MAX_HEAD_BYTES
from infra.template.reading import read_template
from infra.template.stack_definition import Route, StackDefinition
from tests.support.stack import ROOT
from tests.system.contract.document import DOCUMENT, SCHEMAS, answers, codes, complaints, operations, resolved

OPERATIONS = list(operations())
OURS = [(method, path, operation) for method, path, operation in OPERATIONS if path.startswith("/api/")]


@pytest.fixture(scope="module")
def template() -> StackDefinition:
    """template.yaml, expanded as for a deployment."""
    given = {"SupabaseUrl": "https://project.supabase.test", "AllowedOrigins": "https://app.example.com"}
    return read_template(ROOT / "template.yaml", given)


def answerable() -> dict[str, type[PairingError]]:
    """Every error that a caller can get, by its code."""

    def below(kind: type[PairingError]) -> Iterator[type[PairingError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    return {kind.code: kind for kind in reversed(list(below(PairingError)))}


def _raised(code: str, seconds: int) -> PairingError:
    kind = answerable()[code]
    return kind(seconds) if issubclass(kind, TooSoon) else kind()


def test_the_document_is_openapi_3_1() -> None:
    openapi_spec_validator.validate(DOCUMENT, cls=openapi_spec_validator.OpenAPIV31SpecValidator)


def served(routes: Iterable[Route]) -> set[tuple[str, str]]:
    """Methods and paths as a caller sees them. The page's greedy route serves its files and the path with a slash."""
    found = {(route.method, route.path) for route in routes}
    greedy = {(method, path) for method, path in found if path.endswith("/{proxy+}")}
    folders = {(method, path.removesuffix("{proxy+}")) for method, path in greedy}
    return (found - greedy) | folders | {(method, f"{path}{{file}}") for method, path in folders}


def test_every_route_is_documented_and_nothing_else(template: StackDefinition) -> None:
    assert {(method, path) for method, path, _ in OPERATIONS} == served(template.routes)


def test_every_get_route_has_a_head_route(template: StackDefinition) -> None:
    gets, heads = (
        {(route.path, route.function, route.authorizer) for route in template.routes if route.method == method}
        for method in ("GET", "HEAD")
    )
    assert gets == heads
    for path, methods in DOCUMENT["paths"].items():
        if "get" in methods:
            assert set(answers(methods["head"])) == set(answers(methods["get"])), path
            assert not any("content" in answer for answer in answers(methods["head"]).values()), path


def test_the_document_marks_the_routes_that_need_a_token(template: StackDefinition) -> None:
    guarded = {(route.method, route.path) for route in template.routes if route.authorizer is not None}
    assert {(method, path) for method, path, one in OPERATIONS if one.get("security", DOCUMENT["security"])} == guarded
    assert {(method, path) for method, path, one in OPERATIONS if 401 in answers(one)} == guarded
    assert {(method, path) for method, path, one in OPERATIONS if 403 in answers(one)} == guarded


def test_other_origins_send_and_read_the_documented_headers(template: StackDefinition) -> None:
    assert template.cors is not None
    readable = {"apigw-requestid", "etag", "retry-after", "server-time", "www-authenticate"}
    assert readable <= {name.lower() for name in template.cors.exposed}
    assert {"authorization", "if-none-match"} <= {name.lower() for name in template.cors.headers}


def test_the_document_has_the_code_s_statuses() -> None:
    assert SCHEMAS["Status"]["enum"] == list(Status)
    assert set(SCHEMAS["Session"]["properties"]) == set(SCHEMAS["Session"]["required"])


def test_the_document_has_the_code_s_reasons() -> None:
    assert SCHEMAS["Reason"]["enum"] == list(Reason)
    assert SCHEMAS["Notice"]["enum"] == list(Notice)


@pytest.mark.parametrize("name", ["Status", "Reason", "Notice"])
def test_every_value_is_explained(name: str) -> None:
    explained = [line.split("`")[1] for line in SCHEMAS[name]["description"].splitlines() if line.startswith("- `")]
    assert explained == SCHEMAS[name]["enum"]


def test_the_document_has_the_code_s_errors() -> None:
    assert set(SCHEMAS["Failure"]["properties"]["error"]["enum"]) == set(answerable())
    said = {
        code: status
        for _, _, operation in OURS
        for status, answer in answers(operation).items()
        for code in codes(answer)
    }
    assert said == {code: kind.status for code, kind in answerable().items()}


def test_the_document_has_the_code_s_limits() -> None:
    text = " ".join(DOCUMENT["info"]["description"].split())
    growing = sorted({pause for pause in PAUSES if pause > PAUSES[0]})
    assert f"at least {PAUSES[0]} s apart. After the {_ordinal(PAUSES.index(growing[0]))} failure in a row" in text
    assert f"the pause grows: {', '.join(map(str, growing))} s" in text
    assert f"No more than {MOST_PER_HOUR} attempts of a user start within an hour" in text
    assert "A body of up to 1 KiB is ignored" in text
    assert f"above {MAX_HEAD_BYTES:,} bytes" in text


def _ordinal(number: int) -> str:
    return ["", "first", "second", "third", "fourth", "fifth"][number]


def _examples() -> Iterator[Any]:
    for method, path, operation in OPERATIONS:
        for status, answer in answers(operation).items():
            for content in answer.get("content", {}).values():
                for name, example in content.get("examples", {}).items():
                    value = resolved(example)["value"]
                    yield pytest.param(content["schema"], value, id=f"{method} {path} {status} {name}")


@pytest.mark.parametrize(("schema", "value"), list(_examples()))
def test_every_example_matches_its_schema(schema: Any, value: Any) -> None:
    assert complaints(schema, value) == []
    error = value.get("error")
    if isinstance(error, dict):
        assert error["message"] == sentence(Reason(error["code"]))
    elif error in answerable():
        assert value["message"] == _raised(error, 4).message
    if notice := value.get("notice"):
        assert notice["message"] == instruction(Notice(notice["code"]))


@pytest.mark.parametrize("status", Status)
def test_every_status_has_an_example(status: Status) -> None:
    shown = [example["value"]["status"] for example in DOCUMENT["components"]["examples"].values()]
    assert status in shown


def _wrong_sessions() -> dict[str, dict[str, Any]]:
    examples = {name: example["value"] for name, example in DOCUMENT["components"]["examples"].items()}
    return {
        "a field too many": examples["Connected"] | {"qrCode": None},
        "a field too few": {name: value for name, value in examples["Connected"].items() if name != "lastSeen"},
        "an unknown status": examples["Connected"] | {"status": "linked"},
        "connected without being it": examples["Connecting"] | {"connected": True},
        "a QR while connected": examples["Connected"] | {"qr": "2@x"},
        "an expiry without a QR": examples["Scanned"] | {"qrExpiresAt": "2026-11-22T19:52:31.871+00:00"},
        "an unknown reason": examples["Failed"] | {"error": {"code": "timeout", "message": "Too late."}},
        "an unknown notice": examples["ScanAgain"] | {"notice": {"code": "scan", "message": "Scan."}},
        "a notice while connected": examples["Connected"] | {"notice": examples["ScanAgain"]["notice"]},
        "a notice after the end": examples["Failed"] | {"notice": examples["ScanAgain"]["notice"]},
        "an error while connecting": examples["Connecting"] | {"error": examples["Failed"]["error"]},
        "a time without an offset": examples["Connected"] | {"connectedAt": "2026-11-22T19:51:58"},
        "an id that is none": examples["Connecting"] | {"attempt": examples["Connecting"]["attempt"] | {"id": "1"}},
    }


@pytest.mark.parametrize("session", _wrong_sessions().values(), ids=_wrong_sessions())
def test_the_schema_of_a_session_refuses_wrong_values(session: dict[str, Any]) -> None:
    assert complaints({"$ref": "#/components/schemas/Session"}, session)


@pytest.mark.parametrize("code", answerable())
def test_every_error_is_answered_as_documented(code: str) -> None:
    error = _raised(code, 7)
    response = http.failure(error)
    everything = [answer for _, _, operation in OURS for answer in answers(operation).values()]
    documented = [answer for answer in everything if error.code in codes(answer)]
    assert documented
    assert error.status not in (401, 403) or all("WWW-Authenticate" in answer["headers"] for answer in documented)
    for answer in documented:
        assert complaints(answer["content"]["application/json"]["schema"], json.loads(response["body"])) == []
        if "Retry-After" in response["headers"]:
            schema = resolved(answer["headers"]["Retry-After"])["schema"]
            assert complaints(schema, int(response["headers"]["Retry-After"])) == []
        if "WWW-Authenticate" in response["headers"]:
            schema = resolved(answer["headers"]["WWW-Authenticate"])["schema"]
            assert complaints(schema, response["headers"]["WWW-Authenticate"]) == []


def test_the_document_lists_the_page_s_files() -> None:
    parameters = DOCUMENT["paths"]["/home/settings/whatsapp/{file}"]["get"]["parameters"]
    static = {path.name for path in (ROOT / "functions" / "page" / "static").iterdir()} - {"index.html"}
    assert set(parameters[0]["schema"]["enum"]) == static | {"config.json"}
