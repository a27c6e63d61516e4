"""The caller of a request, and the form of the answers."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whatsapp_pairing.core import errors
from whatsapp_pairing.core.errors import PairingError, Unauthorized
from whatsapp_pairing.core.notices import Notice, instruction
from whatsapp_pairing.core.reasons import Reason, sentence
from whatsapp_pairing.session.session import Session, Status
from whatsapp_pairing.web import http

USER = UUID("0d4a2f4e-7f0c-4f57-9c3e-2b8f1a6d5e90")
OFFERED = ["image/svg+xml", "image/png", "text/plain"]


def event(found: object = None, **headers: str) -> dict[str, Any]:
    """A request with this answer of the authorizer and these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"headers": named, "requestContext": {"authorizer": {"lambda": found}}}


def known(lives: float = 60) -> dict[str, str]:
    return {"userId": str(USER), "expiresAt": str(int(time.time() + lives))}


# ── caller ──


def test_the_caller_is_the_user_that_the_authorizer_names() -> None:
    assert http.caller(event(known())) == USER


NOBODIES: dict[str, object] = {
    "nothing": None,
    "empty": {},
    "a list": [],
    "a text": "x",
    "no end": {"userId": str(USER)},
    "no user": {"expiresAt": "9999999999"},
    "expired": known(-1),
    "no UUID": known(3600) | {"userId": "x"},
    "user is null": known(3600) | {"userId": None},
    "user is a number": {"userId": 7, "expiresAt": "9999999999"},
    "end is a word": known() | {"expiresAt": "soon"},
    "end is null": known() | {"expiresAt": None},
    "end is infinite": known() | {"expiresAt": float("inf")},
    "end is no number": known() | {"expiresAt": "nan"},
}


class Watched(dict[str, Any]):
    """An event that notes the path of each field that is read."""

    def __init__(self, content: dict[str, Any], seen: set[str], path: str = "") -> None:
        inner = {k: Watched(v, seen, f"{path}{k}.") if isinstance(v, dict) else v for k, v in content.items()}
        super().__init__(inner)
        self.seen, self.path = seen, path

    def __getitem__(self, key: str) -> Any:
        self.seen.add(self.path + key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.seen.add(self.path + key)
        return super().get(key, default)


def test_the_caller_is_read_from_the_authorizer_s_words_only() -> None:
    seen: set[str] = set()
    assert http.caller(Watched(event(known(), x_user_id="x"), seen)) == USER
    steps = ["requestContext", "requestContext.authorizer", "requestContext.authorizer.lambda"]
    assert seen == {*steps, *(f"{steps[2]}.{name}" for name in ("userId", "expiresAt"))}


@pytest.mark.parametrize("found", NOBODIES.values(), ids=NOBODIES)
def test_a_request_without_a_named_user_is_refused(found: object) -> None:
    with pytest.raises(Unauthorized):
        http.caller(event(found))


@pytest.mark.parametrize(
    "request_context", [{}, {"authorizer": {}}, {"authorizer": None}, {"authorizer": {"lambda": None}}, None]
)
def test_a_request_without_an_authorizer_is_refused(request_context: object) -> None:
    with pytest.raises(Unauthorized):
        http.caller({"requestContext": request_context})


garbage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
garbage_events = st.fixed_dictionaries(
    {},
    optional={
        "headers": garbage
        | st.dictionaries(st.sampled_from(["accept", "accept-language", "if-none-match"]), garbage, max_size=3),
        "requestContext": garbage
        | st.fixed_dictionaries(
            {"authorizer": garbage | st.fixed_dictionaries({"lambda": garbage | st.fixed_dictionaries(
                {"userId": garbage | st.uuids().map(str), "expiresAt": garbage}
            )})}
        ),
    },
)  # fmt: skip


@given(garbage_events)
def test_reading_the_caller_of_any_event_never_crashes(happened: dict[str, Any]) -> None:
    with contextlib.suppress(PairingError):
        assert isinstance(http.caller(happened), UUID)


@given(garbage_events)
def test_reading_the_headers_of_any_event_never_crashes(happened: dict[str, Any]) -> None:
    assert http.language(happened) in ("en", "es")
    with contextlib.suppress(errors.NotAcceptable):
        assert http.accepted(happened, OFFERED) in OFFERED
    assert http.cacheable(happened, http.success({"a": 1}))["statusCode"] in (200, 304)


@given(garbage_events)
def test_a_handler_answers_any_event(happened: dict[str, Any]) -> None:
    handler = http.answers_errors(lambda event, _: http.success({"user": str(http.caller(event))}))
    response = handler(happened, None)
    assert response["statusCode"] in (200, 401)
    json.loads(response["body"])


# ── answers ──


def test_a_success_is_json_that_no_cache_stores() -> None:
    answer = http.success({"name": "José"}, 202)
    assert answer["statusCode"] == 202
    assert answer["headers"] == {"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store"}
    assert json.loads(answer["body"]) == {"success": True, "name": "José"}


def table() -> list[tuple[PairingError, int, str]]:
    return [
        (PairingError(), 500, "internal"),
        (errors.Unauthorized(), 401, "unauthorized"),
        (errors.AnonymousNotAllowed(), 401, "anonymous_not_allowed"),
        (errors.SecondFactorRequired(), 403, "second_factor_required"),
        (errors.NoQr(), 404, "no_qr"),
        (errors.NotAcceptable(), 406, "not_acceptable"),
        (errors.TooLarge(), 413, "too_large"),
        (errors.TooSoon(7), 429, "too_soon"),
        (errors.AtCapacity(), 503, "at_capacity"),
        (errors.DatabaseUnavailable(), 503, "unavailable"),
        (errors.DatabaseBusy(), 503, "unavailable"),
        (errors.LoginRefused(), 503, "unavailable"),
        (errors.SecretUnavailable(), 503, "unavailable"),
        (errors.WorkflowUnavailable(), 503, "unavailable"),
        (errors.DatabaseRefused(), 500, "internal"),
        (errors.InvalidPayload(), 500, "internal"),
        (errors.MisconfiguredError(), 500, "internal"),
        (errors.DeviceBusy(), 500, "internal"),
        (errors.EngineDatabaseFailed(), 500, "internal"),
        (errors.UnlinkFailed(), 500, "internal"),
    ]


@pytest.mark.parametrize(("error", "status", "code"), table(), ids=lambda value: type(value).__name__)
def test_each_error_has_its_answer(error: PairingError, status: int, code: str) -> None:
    def handler(event: http.Request, context: object) -> http.Response:
        raise error

    answer = http.answers_errors(handler)({}, None)

    assert answer["statusCode"] == status
    assert json.loads(answer["body"]) == {"success": False, "error": code, "message": error.message}
    retry_after = {errors.TooSoon: "7", errors.AtCapacity: "20"}.get(type(error))
    assert answer["headers"].get("Retry-After") == retry_after
    assert answer["headers"]["Cache-Control"] == "no-store"


def test_a_setting_is_not_named_to_the_caller() -> None:
    """The log names the setting, and the answer does not."""
    answer = http.failure(errors.MisconfiguredError("The setting DATABASE_SECRET_NAME is missing."))
    assert "DATABASE_SECRET_NAME" not in answer["body"]


def test_an_errors_detail_is_for_the_log() -> None:
    error = errors.DatabaseRefused(detail="CheckViolation 23514, table attempts")
    assert str(error) == "CheckViolation 23514, table attempts"
    assert "attempts" not in http.failure(error)["body"]


def test_every_error_class_is_in_the_table() -> None:
    def below(kind: type[PairingError]) -> set[type[PairingError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    assert below(PairingError) - {errors.Unavailable, errors.Denied, errors.WorkflowSilent} == {
        type(error) for error, *_ in table()
    }


def test_any_other_exception_is_a_500_without_its_text() -> None:
    def handler(event: http.Request, context: object) -> http.Response:
        raise ValueError("the password is x")

    answer = http.answers_errors(handler)({}, None)
    assert answer["statusCode"] == 500
    assert "password" not in answer["body"]


# ── bodies ──


@pytest.mark.parametrize(
    ("body", "encoded", "status"),
    [
        (None, False, 200), ("", False, 200), ("{}", False, 200), ("\0" * 1024, False, 200), ("x" * 1025, False, 413),
        ("é" * 512, False, 200), ("é" * 512 + "x", False, 413), ("x" * 7_000_000, False, 413), ("\ud800", False, 200),
        *((base64.b64encode(b"x" * size).decode(), True, 200) for size in (1, 1022, 1023, 1024)),
        *((base64.b64encode(b"x" * size).decode(), True, 413) for size in (1025, 1026, 1027)),
    ],
    ids=lambda value: repr(value)[:12],
)  # fmt: skip
def test_a_body_above_one_kibibyte_is_refused_others_ignored(body: str | None, encoded: bool, status: int) -> None:
    handler = http.answers_errors(lambda _event, _: http.success({}))
    answer = handler({"body": body, "isBase64Encoded": encoded}, None)
    assert answer["statusCode"] == status
    if status == 413:
        assert json.loads(answer["body"])["error"] == "too_large"


# ── caching ──


def test_an_answer_that_the_caller_has_is_not_sent_again() -> None:
    first = http.cacheable(event(), http.success({"a": 1}))
    tag = first["headers"]["ETag"]
    assert tag.startswith('"')
    for header in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = http.cacheable(event(if_none_match=header), http.success({"a": 1}))
        assert (again["statusCode"], again["headers"]["ETag"], again.get("body")) == (304, tag, None)
    for header in ("", '"x"', tag.strip('"'), tag[:-1]):
        assert http.cacheable(event(if_none_match=header), http.success({"a": 1}))["statusCode"] == 200
    assert http.cacheable(event(if_none_match=tag), http.success({"a": 2}))["statusCode"] == 200


@given(st.dictionaries(st.text(), st.integers() | st.text()), st.dictionaries(st.text(), st.integers() | st.text()))
def test_other_bodies_have_other_tags(one: dict[str, Any], other: dict[str, Any]) -> None:
    tags = [http.cacheable(event(), http.success(body))["headers"]["ETag"] for body in (one, other)]
    assert (tags[0] == tags[1]) == (json.dumps(one) == json.dumps(other))


def test_a_document_is_text_or_base64() -> None:
    assert http.document(b"<svg/>", "image/svg+xml")["body"] == "<svg/>"
    png = http.document(b"\x89PNG", "image/png")
    assert (base64.b64decode(png["body"]), png["isBase64Encoded"]) == (b"\x89PNG", True)


def test_times_are_written_as_iso_with_an_offset() -> None:
    moment = datetime(2026, 11, 22, 19, 30, 0, 123456, UTC)
    there = moment.astimezone(timezone(timedelta(hours=2)))
    answer = http.shown({}, Session(Status.CONNECTED, moment, connected_at=moment, last_seen=there))
    assert answer["headers"]["Server-Time"] == "2026-11-22T19:30:00.123+00:00"
    body = json.loads(answer["body"])
    assert body["connectedAt"] == "2026-11-22T19:30:00.123+00:00"
    assert datetime.fromisoformat(body["lastSeen"]).tzinfo is not None
    assert abs(datetime.fromisoformat(body["lastSeen"]) - moment) < timedelta(milliseconds=1)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("language", ["en", "es"])
def test_a_reason_comes_with_its_sentence(reason: Reason, language: str) -> None:
    answer = http.shown(event(accept_language=language), Session(Status.ERROR, datetime.now(UTC), reason=reason))
    assert json.loads(answer["body"])["error"] == {"code": reason, "message": sentence(reason, language)}


@pytest.mark.parametrize("notice", Notice)
@pytest.mark.parametrize("language", ["en", "es"])
def test_a_notice_comes_with_its_instruction(notice: Notice, language: str) -> None:
    session = Session(Status.WAITING_QR, datetime.now(UTC), qr="2@x", notice=notice)
    answer = http.shown(event(accept_language=language), session)
    assert json.loads(answer["body"])["notice"] == {"code": notice, "message": instruction(notice, language)}


def test_a_new_or_changed_notice_is_sent() -> None:
    def tag(notice: Notice | None) -> str:
        session = Session(Status.WAITING_QR, datetime.now(UTC), qr="2@x", notice=notice)
        return str(http.cacheable(event(), http.shown(event(), session))["headers"]["ETag"])

    assert len({tag(notice) for notice in (None, *Notice)}) == 3
