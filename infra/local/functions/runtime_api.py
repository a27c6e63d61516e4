"""Lambda's Runtime API, as `awslambdaric` speaks it.

Each instance has a port of its own, because nothing in a request says which instance sends it (`awslambdaric` accepts
no path in ``AWS_LAMBDA_RUNTIME_API``). One aiohttp server answers on all ports.
"""

from __future__ import annotations

import asyncio
import json
from typing import Protocol

from aiohttp import web

from infra.local.functions.invocation import Invocation
from infra.local.gateway.httpserver import bind, body_limit

PREFIX = "/2018-06-01/runtime/"

# Lambda allows 6 MB for a response. The server reads more, so that the instance can answer with Lambda's error.
BODY_LIMIT = 64 * 1024 * 1024


class Runtime(Protocol):
    """The instance behind a port."""

    arn: str

    async def next(self) -> Invocation | None:
        """Wait for an event. Return None when the instance has ended."""

    def respond(self, request_id: str, payload: bytes, failed: bool) -> bool:
        """Take the handler's answer. Return False if no such invocation is running."""

    def init_failed(self, payload: bytes) -> None:
        """Take the error of a module that could not be loaded."""


class RuntimeApi:
    """The server. `open` gives an instance its port."""

    def __init__(self) -> None:
        self._runtimes: dict[int, Runtime] = {}
        self._listeners: dict[int, asyncio.Server] = {}
        # An idle instance waits in one request, so a connection must stay open for long.
        self._server = web.Server(
            self._handle, request_factory=body_limit(BODY_LIMIT), keepalive_timeout=3600, access_log=None
        )

    async def open(self, runtime: Runtime) -> int:
        """Serve `runtime` and return the port."""
        listening = bind("127.0.0.1", 0)
        port: int = listening.getsockname()[1]
        self._runtimes[port] = runtime
        self._listeners[port] = await asyncio.get_running_loop().create_server(self._server, sock=listening)
        return port

    def close(self, port: int) -> None:
        """Stop serving a port, because its instance has ended."""
        self._runtimes.pop(port, None)
        listener = self._listeners.pop(port, None)
        if listener is not None:
            listener.close()

    async def shutdown(self) -> None:
        """Close every port and connection."""
        for port in list(self._listeners):
            self.close(port)
        await self._server.shutdown(timeout=0.1)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        runtime = self._runtimes.get(transport.get_extra_info("sockname")[1]) if transport else None
        if runtime is None:
            return web.Response(status=410)
        action = request.path.removeprefix(PREFIX)
        if (request.method, action) == ("GET", "invocation/next"):
            return await self._next(runtime)
        if (request.method, action) == ("POST", "init/error"):
            runtime.init_failed(await request.read())
            return _accepted()
        match action.split("/"):
            case ["invocation", request_id, "response" | "error" as kind] if request.method == "POST":
                known = runtime.respond(request_id, await request.read(), failed=kind == "error")
                return _accepted() if known else _refused("InvalidRequestID", "no such invocation is running")
        return web.Response(status=404)

    async def _next(self, runtime: Runtime) -> web.Response:
        invocation = await runtime.next()
        if invocation is None:
            return web.Response(status=410)
        return web.Response(
            body=invocation.payload,
            headers={
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": runtime.arn,
                "Lambda-Runtime-Trace-Id": invocation.trace_id,
            },
        )


def _accepted() -> web.Response:
    return web.json_response({"status": "OK"}, status=202)


def _refused(error_type: str, message: str) -> web.Response:
    body = json.dumps({"errorType": error_type, "errorMessage": message})
    return web.Response(status=400, text=body, content_type="application/json")
