"""The HTTP API in front of the functions, and the local system's own paths beside it."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion11, web

from infra.local.errors import InvocationError, PayloadTooLarge, Withheld
from infra.local.functions.invocation import Answer
from infra.local.functions.invoker import Invoker
from infra.local.gateway.authorizers import AuthorizerCache, Refused
from infra.local.gateway.cors import is_preflight, preflight, with_cors
from infra.local.gateway.httpserver import body_limit
from infra.local.gateway.payload import (
    BadResponse,
    HttpRequest,
    HttpResponse,
    integration_event,
    message,
    parse_response,
)
from infra.local.gateway.routing import Router
from infra.local.gateway.throttle import Throttle
from infra.template.stack_definition import Limits, Route, StackDefinition

logger = logging.getLogger(__name__)

# aiohttp would log a traceback for each request that is broken HTTP. `_handle` logs our own errors.
_quiet = logging.getLogger(f"{__name__}.http")
_quiet.setLevel(logging.CRITICAL)

# The limits of an HTTP API. MAX_HEAD_BYTES counts the request line and the values of all headers.
MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_HEAD_BYTES = 10_240
INTEGRATION_SECONDS = 30.0

# The HTTP parser reads more than MAX_HEAD_BYTES, so that the gateway can answer 431 itself.
PARSED_HEADER_BYTES = 64 * 1024

NOT_FOUND = message(404, "Not Found")
INTERNAL_ERROR = message(500, "Internal Server Error")
UNAVAILABLE = message(503, "Service Unavailable")
BODY_TOO_LARGE = message(413, "Request Entity Too Large")
TOO_MANY_REQUESTS = message(429, "Too Many Requests")
EXPECTATION_FAILED = message(417, "Expectation Failed")
HEADERS_TOO_LARGE = message(431, "Request Header Fields Too Large")

LocalHandler = Callable[[HttpRequest], Awaitable[HttpResponse | None]]
"""Answers requests to the local system's own paths, and returns None for all other paths."""


class Gateway:
    """Passes requests to functions.

    Parameters
    ----------
    stack
        The routes and the CORS configuration.
    invoker
        Invokes the functions of the routes.
    local
        Answers the paths that exist only in the local system. The gateway asks it first.
    limits
        The limits that count here.
    """

    def __init__(
        self, stack: StackDefinition, invoker: Invoker, local: LocalHandler, limits: Limits | None = None
    ) -> None:
        self._router = Router(stack.routes)
        self._cors = stack.cors
        self._throttle = Throttle(limits or Limits())
        self._invoker = invoker
        self._authorizers = AuthorizerCache(invoker)
        self._local = local
        self._running: set[asyncio.Task[Answer]] = set()

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a request, with the limits and the CORS headers of an HTTP API."""
        if _head_bytes(request) > MAX_HEAD_BYTES:
            return HEADERS_TOO_LARGE
        if self._cors is None:
            return await self._respond(request)
        if is_preflight(request):
            return preflight(self._cors, request)
        return with_cors(self._cors, request, await self._respond(request))

    async def _respond(self, request: HttpRequest) -> HttpResponse:
        # The local system's own paths get CORS headers too: a frontend on another origin signs in and scans there.
        local = await self._local(request)
        return await self._route(request) if local is None else local

    async def _route(self, request: HttpRequest) -> HttpResponse:
        found = self._router.find(request.method, request.path)
        if found is None:
            return NOT_FOUND
        route, parameters = found
        if not self._throttle.allows(route.key):
            return TOO_MANY_REQUESTS
        context = None
        if route.authorizer is not None:
            try:
                context = await self._authorizers.context(route.authorizer, request, route, parameters)
            except Refused as refused:
                return refused.response
        event = integration_event(request, route, parameters, context)
        return await self._integrate(route, json.dumps(event).encode())

    async def _integrate(self, route: Route, event: bytes) -> HttpResponse:
        # The call is a task of its own, because the function goes on if the caller has gone or has waited too long.
        call = asyncio.create_task(self._invoker.invoke(route.function, event))
        self._running.add(call)
        call.add_done_callback(self._running.discard)
        done, _ = await asyncio.wait([call], timeout=INTEGRATION_SECONDS)
        if not done:
            return UNAVAILABLE
        try:
            answer = call.result()
        except InvocationError as error:
            return _refusal(route, error)
        if answer.failed:
            return INTERNAL_ERROR
        try:
            return parse_response(answer.payload)
        except BadResponse as error:
            logger.warning("%s: the function's answer cannot be used: %s", route.key, error)
            return INTERNAL_ERROR


class HttpServer:
    """Serves HTTP/1.1 with keep-alive in front of a gateway. No request of a client can end it."""

    def __init__(self, answer: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        self._answer = answer
        self._server = web.Server(
            self._handle,
            request_factory=body_limit(MAX_BODY_BYTES),
            keepalive_timeout=75,
            access_log=None,
            # The function itself unpacks a compressed body, as behind an HTTP API.
            auto_decompress=False,
            logger=_quiet,
            max_line_size=PARSED_HEADER_BYTES,
            max_field_size=PARSED_HEADER_BYTES,
        )
        self._listener: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve on a bound socket."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._server, sock=listening, backlog=1024)

    async def stop(self) -> None:
        """Stop listening and close every connection."""
        if self._listener is not None:
            self._listener.close()
        await self._server.shutdown(timeout=0.5)

    async def _handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        refused = await _meet_expectation(raw)
        if refused is not None:
            return refused
        try:
            body = await raw.read()
        except web.HTTPRequestEntityTooLarge:
            return _render(BODY_TOO_LARGE)
        path, _, query = raw.raw_path.partition("?")
        request = HttpRequest(
            method=raw.method,
            path=path,
            query=query,
            headers=list(raw.headers.items()),
            body=body,
            source_ip=raw.remote or "127.0.0.1",
        )
        try:
            response = await self._answer(request)
        except Exception:
            logger.exception("%s %s", request.method, request.path)
            response = INTERNAL_ERROR
        return _render(response, request.request_id)


def _refusal(route: Route, error: InvocationError) -> HttpResponse:
    if isinstance(error, PayloadTooLarge):
        return BODY_TOO_LARGE
    if isinstance(error, Withheld):
        return HttpResponse(error.status, json.dumps(error.body).encode(), (("content-type", "application/json"),))
    logger.warning("%s: %s", route.key, error)
    return UNAVAILABLE


async def _meet_expectation(raw: web.BaseRequest) -> web.Response | None:
    """Answer ``Expect: 100-continue``: tell the client to send its body, or refuse the request before it does.

    aiohttp does this for its own routes only. Without this answer, curl waits for a second and some clients wait for
    ever.
    """
    expected = {one.strip().lower() for line in raw.headers.getall("expect", ()) for one in line.split(",")} - {""}
    if not expected or raw.version < HttpVersion11:
        return None
    if expected != {"100-continue"}:
        refused = _render(EXPECTATION_FAILED)
    elif (raw.content_length or 0) > MAX_BODY_BYTES:
        refused = _render(BODY_TOO_LARGE)
    else:
        if raw.can_read_body and raw.transport is not None:
            raw.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None
    refused.force_close()  # the body may still come, and would then be taken for the next request
    return refused


def _head_bytes(request: HttpRequest) -> int:
    line = f"{request.method} {request.path}?{request.query} HTTP/1.1"
    return len(line) + sum(len(value) for _, value in request.headers)


def _render(response: HttpResponse, request_id: str | None = None) -> web.Response:
    rendered = web.Response(status=response.status, body=response.body)
    for name, value in response.headers:
        rendered.headers.add(name, value)
    if response.status not in (204, 304):
        rendered.headers["content-length"] = str(len(response.body))  # aiohttp leaves out a length of 0 for HEAD
    if request_id is not None:
        rendered.headers["apigw-requestid"] = request_id
    return rendered
