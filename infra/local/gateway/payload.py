"""Payload format 2.0: the event that a function gets from an HTTP API, and the form of its answer."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from infra.template.intrinsics import ACCOUNT, REGION
from infra.template.stack_definition import Route

API_ID = "local"

# A body of these content types reaches the function as text. Every other body reaches it as base64.
_TEXT_TYPES = (
    "text/",
    "application/json",
    "application/javascript",
    "application/xml",
    "application/vnd.api+json",
)

# The server sets these headers itself, so those of a function are dropped.
_CONNECTION_HEADERS = {"connection", "content-length", "date", "keep-alive", "transfer-encoding", "upgrade"}


class BadResponse(ValueError):
    """The function's answer is not in payload format 2.0."""


@dataclass(frozen=True)
class HttpRequest:
    """A request, without the types of aiohttp. `path` is percent-encoded, as the client has sent it."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    source_ip: str = "127.0.0.1"
    request_id: str = field(default_factory=lambda: secrets.token_urlsafe(11) + "=")

    def header(self, name: str) -> str | None:
        """Return all values of a header, joined by commas. `name` is in lower case."""
        values = [value for key, value in self.headers if key.lower() == name]
        return ",".join(values) if values else None


@dataclass(frozen=True)
class HttpResponse:
    """A response, without the types of aiohttp."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def message(status: int, text: str) -> HttpResponse:
    """Return an answer of API Gateway itself."""
    body = json.dumps({"message": text}, separators=(",", ":")).encode()
    return HttpResponse(status, body, (("content-type", "application/json"),))


def integration_event(
    request: HttpRequest, route: Route, parameters: dict[str, str], context: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the event of a route's function. `context` comes from the route's authorizer."""
    event = _common(request, route, parameters)
    if context is not None:
        event["requestContext"]["authorizer"] = {"lambda": context}
    if request.body:
        text = _text_body(request)
        event["body"] = base64.b64encode(request.body).decode() if text is None else text
        event["isBase64Encoded"] = text is None
    else:
        event["isBase64Encoded"] = False
    return event


def authorizer_event(
    request: HttpRequest,
    route: Route,
    parameters: dict[str, str],
    identity: list[str],
) -> dict[str, Any]:
    """Return the event of a Lambda authorizer."""
    arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{API_ID}/$default/{request.method}{unquote(request.path)}"
    return _common(request, route, parameters) | {
        "type": "REQUEST",
        "routeArn": arn,
        "identitySource": identity,
    }


def parse_response(payload: bytes) -> HttpResponse:
    """Turn a function's answer into a response.

    Raises
    ------
    BadResponse
        The answer cannot be turned into a response.
    """
    answer = json.loads(payload or b"null")
    if not isinstance(answer, dict) or "statusCode" not in answer:
        # The short form: without a status code, the whole answer is the body.
        body = answer if isinstance(answer, str) else json.dumps(answer)
        return HttpResponse(200, body.encode(), (("content-type", "application/json"),))
    try:
        status = int(answer["statusCode"])
    except (TypeError, ValueError) as error:
        raise BadResponse("statusCode is not a number") from error
    if not 100 <= status <= 599:
        raise BadResponse(f"{status} is not a status code")
    return HttpResponse(status, _response_body(answer), tuple(_response_headers(answer)))


def _response_body(answer: dict[str, Any]) -> bytes:
    body = answer.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise BadResponse("body is not a string")
    if not answer.get("isBase64Encoded"):
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise BadResponse("body is not base64") from error


def _response_headers(answer: dict[str, Any]) -> list[tuple[str, str]]:
    given = answer.get("headers") or {}
    cookies = answer.get("cookies") or []
    if not isinstance(given, dict) or not isinstance(cookies, list):
        raise BadResponse("headers is not an object or cookies is not a list")
    headers = [(str(name).lower(), _header_value(value)) for name, value in given.items()]
    headers = [(name, value) for name, value in headers if name not in _CONNECTION_HEADERS]
    if "content-type" not in dict(headers):
        headers.append(("content-type", "text/plain;charset=UTF-8"))
    headers += [("set-cookie", _header_value(cookie)) for cookie in cookies]
    if any("\r" in text or "\n" in text or "\0" in text for header in headers for text in header):
        raise BadResponse("a header holds a line break")
    return headers


def _header_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _common(request: HttpRequest, route: Route, parameters: dict[str, str]) -> dict[str, Any]:
    path = unquote(request.path)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route.key,
        "rawPath": path,
        "rawQueryString": request.query,
        "headers": _joined([(key.lower(), value) for key, value in request.headers if key.lower() != "cookie"]),
        "requestContext": _request_context(request, route, path),
    }
    cookies = [value for key, value in request.headers if key.lower() == "cookie"]
    if cookies:
        event["cookies"] = [cookie.strip() for line in cookies for cookie in line.split(";") if cookie.strip()]
    query = parse_qsl(request.query, keep_blank_values=True)
    if query:
        event["queryStringParameters"] = _joined(query)
    if parameters:
        event["pathParameters"] = parameters
    return event


def _request_context(request: HttpRequest, route: Route, path: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "accountId": ACCOUNT,
        "apiId": API_ID,
        "domainName": request.header("host") or "",
        "domainPrefix": API_ID,
        "http": {
            "method": request.method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.source_ip,
            "userAgent": request.header("user-agent") or "",
        },
        "requestId": request.request_id,
        "routeKey": route.key,
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for key, value in pairs:
        joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined


def _text_body(request: HttpRequest) -> str | None:
    kind = (request.header("content-type") or "text/plain").strip().lower()
    if not kind.startswith(_TEXT_TYPES):
        return None
    try:
        return request.body.decode()
    except UnicodeDecodeError:
        return None
