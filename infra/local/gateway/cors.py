"""CORS as in an HTTP API: the API writes these headers, and drops those that a function returns."""

from __future__ import annotations

from infra.local.gateway.payload import HttpRequest, HttpResponse
from infra.template.stack_definition import Cors

_ALLOW_ORIGIN = "access-control-allow-origin"


def is_preflight(request: HttpRequest) -> bool:
    """Whether the request is a preflight, with which a browser asks before it sends the real request."""
    return (
        request.method == "OPTIONS"
        and request.header("origin") is not None
        and request.header("access-control-request-method") is not None
    )


def preflight(cors: Cors, request: HttpRequest) -> HttpResponse:
    """Return the answer to a preflight. It has no CORS headers if the origin is not allowed."""
    headers = _origin_headers(cors, request)
    if headers:
        if cors.methods:
            headers.append(("access-control-allow-methods", ",".join(cors.methods)))
        if cors.headers:
            headers.append(("access-control-allow-headers", ",".join(cors.headers)))
        if cors.max_age is not None:
            headers.append(("access-control-max-age", str(cors.max_age)))
    return HttpResponse(204, headers=tuple(headers))


def with_cors(cors: Cors, request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return the response with the API's CORS headers instead of the function's."""
    kept = [header for header in response.headers if not header[0].startswith("access-control-")]
    added = _origin_headers(cors, request)
    if added and cors.exposed:
        added.append(("access-control-expose-headers", ",".join(cors.exposed)))
    return HttpResponse(response.status, response.body, tuple(kept + added))


def _origin_headers(cors: Cors, request: HttpRequest) -> list[tuple[str, str]]:
    origin = request.header("origin")
    if origin is None:
        return []
    if "*" in cors.origins:
        return [(_ALLOW_ORIGIN, "*")]
    return [(_ALLOW_ORIGIN, origin)] if any(_allows(allowed, origin) for allowed in cors.origins) else []


def _allows(allowed: str, origin: str) -> bool:
    """Compare two origins as texts. A ``*`` stands for any text, so ``https://*`` allows every host."""
    before, star, after = allowed.partition("*")
    return origin == allowed if not star else origin.startswith(before) and origin.endswith(after)
