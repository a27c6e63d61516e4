"""JSON over HTTP on loopback, for actions that run in an event loop."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import CancelledError
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from infra.sandbox.errors import BadRequestError, SandboxError

_MAX_BODY = 65_536
_SLOW_CLIENT_SECONDS = 30

log = logging.getLogger(__name__)

Body = dict[str, Any]


class Action(Protocol):
    """The action of a route. It takes the fields of the request and returns the fields of the answer."""

    def __call__(self, body: Body, /) -> Coroutine[Any, Any, Body]:
        """Run the action.

        Raises
        ------
        SandboxError
            The action cannot be done. The error has the status of the answer.
        """


Routes = Mapping[str, Mapping[str, Action]]


class _HttpError(SandboxError):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class JsonServer(ThreadingHTTPServer):
    """Answers HTTP in threads of its own and runs the actions in the loop that is running now.

    Parameters
    ----------
    routes
        Path → method → action.
    port
        The port on 127.0.0.1. 0 takes a free port.
    """

    daemon_threads = True

    def __init__(self, routes: Routes, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.routes = routes
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.server_port}"

    async def stop(self) -> None:
        """Stop listening."""
        await asyncio.to_thread(self.shutdown)
        self.socket.close()

    def perform(self, action: Action, body: Body) -> Body:
        """Run an action in the event loop, from a thread that serves a request."""
        return asyncio.run_coroutine_threadsafe(action(body), self._loop).result()


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client of the control."""

    server: JsonServer
    protocol_version = "HTTP/1.1"
    timeout = _SLOW_CLIENT_SECONDS

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

    def _serve(self) -> None:
        try:
            status, answer = 200, self._perform()
        except SandboxError as error:
            status, answer = error.status, {"error": error.code, "message": str(error)}
        except CancelledError:
            status, answer = (503, {"error": "stopping", "message": "The sandbox is shutting down."})
        except Exception:
            log.exception("%s %s failed", self.command, self.path)
            status, answer = (500, {"error": "internal", "message": "The sandbox failed; its log says why."})
        self._reply(status, answer)

    def _perform(self) -> Body:
        body = self._body()
        path, query = urlsplit(self.path)[2:4]
        methods = self.server.routes.get(path)
        if methods is None:
            raise _HttpError(404, "not_found", f"There is no {path}.")
        if self.command not in methods:
            raise _HttpError(405, "method_not_allowed", f"{path} takes {', '.join(methods)}.")
        if self.command == "GET":
            body = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
        return self.server.perform(methods[self.command], body)

    def _body(self) -> Body:
        data = self.rfile.read(self._body_length())
        if not data:
            return {}
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            raise BadRequestError("The body is not JSON.") from None
        if not isinstance(body, dict):
            raise BadRequestError("The body is not a JSON object.")
        return body

    def _body_length(self) -> int:
        # Close the connection after this request. Otherwise an unread body would be taken for the next request.
        self.close_connection = True
        if "Transfer-Encoding" in self.headers:
            raise _HttpError(411, "length_required", "Send the body with its length, not in chunks.")
        text = self.headers.get("Content-Length", "0")
        if not text.isascii() or not text.isdigit():
            raise BadRequestError("The length of the body is not a number.")
        if len(text) > 9 or int(text) > _MAX_BODY:
            raise _HttpError(413, "too_large", f"A body may have {_MAX_BODY} bytes.")
        return int(text)

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,  # noqa: ARG002
    ) -> None:
        """Answer a message that is no proper HTTP request."""
        self.close_connection = True
        self._reply(code, {"error": "bad_request", "message": message or HTTPStatus(code).phrase})

    def _reply(self, status: int, answer: Body) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing, because paths and bodies hold numbers and QR codes."""
