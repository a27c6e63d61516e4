"""Reads a request (caller, language, media type), and writes answers and errors."""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from whatsapp_pairing.core.denials import Denial
from whatsapp_pairing.core.errors import (
    AtCapacity,
    Denied,
    MisconfiguredError,
    NotAcceptable,
    PairingError,
    TooLarge,
    Unauthorized,
)
from whatsapp_pairing.core.notices import instruction
from whatsapp_pairing.core.reasons import sentence
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.session.session import Session, ShownAttempt, Status
from whatsapp_pairing.web import negotiation

Request = Mapping[str, Any]
Response = dict[str, Any]

# In bytes. No call takes a body. A body up to this size is ignored, because some clients always send "{}". A larger
# body is answered with 413.
LONGEST_BODY = 1024

# Where a request holds its id. Every answer carries this id as ``apigw-requestid``, and every log line of the request
# has it. So an operator finds the log lines of a request by the id that a person reports.
REQUEST_ID = "requestContext.requestId"

_NO_STORE = {"Cache-Control": "no-store"}


def caller(request: Request) -> UUID:
    """Return the user whom the authorizer found.

    Raises
    ------
    Unauthorized
        The authorizer found no user, or the token has expired. (The authorizer accepts a token for some seconds
        longer.)
    SecondFactorRequired
        The authorizer found a user who has signed in without the second factor, and the token has not expired.
    """
    found = _authorizers_answer(request)
    try:
        if int(found["expiresAt"]) <= time.time():
            raise Unauthorized(Denial.EXPIRED)
        return UUID(found["userId"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise Denied.because(Denial.parse(found.get("refused"))) from None


def _authorizers_answer(request: Request) -> Mapping[str, Any]:
    try:
        found = request["requestContext"]["authorizer"]["lambda"]
    except (KeyError, TypeError):
        return {}
    return found if isinstance(found, Mapping) else {}


def header(request: Request, name: str) -> str:
    """Return a request header by its lower-case name, or an empty text."""
    headers = request.get("headers")
    return str(headers.get(name, "")) if isinstance(headers, Mapping) else ""


def language(request: Request) -> str:
    """Return the caller's language by Accept-Language, ``"en"`` or ``"es"``."""
    return negotiation.language(header(request, "accept-language"), ["en", "es"])


def accepted(request: Request, offered: list[str]) -> str:
    """Return the offered media type with the highest weight in Accept. Of equal weights, the first offer wins.

    Raises
    ------
    NotAcceptable
        Accept gives all of them the weight 0.
    """
    media = negotiation.media_type(header(request, "accept"), offered)
    if media is None:
        raise NotAcceptable
    return media


def answers_errors(handler: Callable[[Request, Any], Response]) -> Callable[[Request, Any], Response]:
    """Turn the domain's exceptions into answers. Any other exception is logged and answered as ``internal``.

    A body above ``LONGEST_BODY`` is answered with 413 here, before the handler is called.
    """

    def answering(request: Request, context: Any) -> Response:
        try:
            if _body_bytes(request) > LONGEST_BODY:
                raise TooLarge
            return handler(request, context)
        except PairingError as error:
            if isinstance(error, Denied):
                logger.info("refused", extra={"refusal": str(error.denial)})
            elif isinstance(error, AtCapacity):
                logger.warning("at capacity")
            elif error.status >= 500:
                logger.exception("request failed")
            return failure(error)
        except Exception:
            logger.exception("request failed")
            return failure(PairingError())

    return answering


def _body_bytes(request: Request) -> int:
    body = str(request.get("body") or "")
    if request.get("isBase64Encoded"):
        return len(body) * 3 // 4 - body[-2:].count("=")
    return len(body.encode(errors="replace"))


def success(body: Mapping[str, Any], status: int = 200) -> Response:
    """Answer with JSON."""
    return _json(status, {"success": True, **body})


def failure(error: PairingError) -> Response:
    """Answer with an error's status, code and sentence."""
    if isinstance(error, MisconfiguredError):
        error = PairingError()  # the log names the setting; the answer does not
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    if isinstance(error, Denied):
        headers["WWW-Authenticate"] = error.challenge
    body = {"success": False, "error": error.code, "message": error.message}
    return _json(error.status, body, headers)


def shown(request: Request, session: Session, status: int = 200) -> Response:
    """Answer with the session in the caller's language. ``Server-Time`` is the database's time of the reading."""
    answer = success(_session_body(session, language(request)), status)
    answer["headers"]["Server-Time"] = _time(session.read_at)
    return answer


def cacheable(request: Request, answer: Response) -> Response:
    """Give an answer the ETag of its body. A caller who has this body already gets a 304 without the body."""
    etag = f'"{hashlib.sha256(answer["body"].encode()).hexdigest()[:32]}"'
    headers = {**answer["headers"], "ETag": etag}
    known = [tag.strip().removeprefix("W/") for tag in header(request, "if-none-match").split(",")]
    if etag in known or "*" in known:
        del headers["Content-Type"]
        return {"statusCode": 304, "headers": headers}
    return {**answer, "headers": headers}


def document(body: bytes, media: str) -> Response:
    """Answer with a body that is not JSON. Caches must not keep it."""
    binary = media == "image/png"
    return {
        "statusCode": 200,
        "headers": {"Content-Type": f"{media}; charset=utf-8" if media == "text/plain" else media, **_NO_STORE},
        "body": base64.b64encode(body).decode() if binary else body.decode(),
        "isBase64Encoded": binary,
    }


def _session_body(session: Session, speaks: str) -> dict[str, Any]:
    reason, notice = session.reason, session.notice
    return {
        "status": session.status,
        "connected": session.status is Status.CONNECTED,
        "qr": session.qr,
        "qrExpiresAt": _time(session.qr_expires_at),
        "attempt": _attempt(session.attempt),
        "phoneNumber": session.phone_number,
        "connectedAt": _time(session.connected_at),
        "lastSeen": _time(session.last_seen),
        "messagesSent": session.messages_sent,
        "messagesReceived": session.messages_received,
        "error": {"code": reason, "message": sentence(reason, speaks)} if reason else None,
        "notice": {"code": notice, "message": instruction(notice, speaks)} if notice else None,
        "pollAfterMs": session.poll_after_ms,
    }


def _attempt(attempt: ShownAttempt | None) -> dict[str, Any] | None:
    if attempt is None:
        return None
    return {
        "id": str(attempt.id),
        "number": attempt.number,
        "startedAt": _time(attempt.started_at),
        "deadline": _time(attempt.deadline),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds") if moment else None


def _json(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json; charset=utf-8", **_NO_STORE, **(headers or {})},
        "body": json.dumps(body, ensure_ascii=False),
    }
