"""A proxy between the functions and moto. A case can make it misbehave."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

# The faults that a caller notices. The others, "lost" and "late", accept a call and drop it, or deliver it much later.
REFUSALS = ("throttled", "hanging", "500", "cut off", "answer lost")
LATE_SECONDS = 4.0
# Longer than each of our clients waits.
HANG_SECONDS = 20.0

_FOR_EVER = 1_000_000_000


class AwsProxy:
    """Passes calls on to ``target``, and disturbs some of them."""

    def __init__(self) -> None:
        self.target = ""
        self.met = 0
        self._call = self._how = ""
        self._left = 0
        self._until = 0.0
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            aws = proxy

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,))
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def disturb(self, call: str, how: str, calls: int = _FOR_EVER, seconds: float = _FOR_EVER) -> None:
        """Disturb the next calls of this name, up to this number and for this time.

        Parameters
        ----------
        call : str
            An operation of Step Functions (``SendTaskSuccess``), or of Lambda: ``Invoke linker``, ``Invoke unlink``.
        how : str
            One of `REFUSALS`, ``"lost"`` or ``"late"``.
        """
        with self._lock:
            self._call, self._how, self._left, self.met = call, how, calls, 0
            self._until = time.monotonic() + seconds

    def heal(self) -> None:
        """Disturb no more calls."""
        self._left = 0

    def fault(self, call: str) -> str:
        """The fault that this call meets, or an empty text."""
        with self._lock:
            if call != self._call or not self._left or time.monotonic() >= self._until:
                return ""
            self._left -= 1
            self.met += 1
            return self._how

    @contextlib.contextmanager
    def disturbed(self, call: str, how: str, calls: int = _FOR_EVER, seconds: float = _FOR_EVER) -> Iterator[None]:
        """Disturb calls during the block. At least one must have come."""
        self.disturb(call, how, calls, seconds)
        try:
            yield
        finally:
            self.heal()
        assert self.met, f"nobody called {call}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing about callers that were killed."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    aws: AwsProxy
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.aws.fault(self._name())
        if fault == "hanging":
            self._wait_for_the_caller_to_go(HANG_SECONDS)
        if fault in ("hanging", "cut off"):
            return self._cut()
        if fault == "throttled":
            return self._refuse(429 if self._is_lambda() else 400)
        if fault == "500":
            return self._answer(500, b'{"__type":"InternalFailure"}', "InternalFailure")
        if fault == "lost":
            return self._answer(202 if self._is_lambda() else 200, b"" if self._is_lambda() else b"{}")
        if fault == "late":
            time.sleep(LATE_SECONDS)
        status, answer, kind = self._pass_on(body)
        if fault == "answer lost":
            return self._cut()
        return self._answer(status, answer, kind)

    def _name(self) -> str:
        if self._is_lambda():  # /2015-03-31/functions/arn…function:LinkerFunction:live/invocations
            return f"Invoke {unquote(self.path).rpartition('Function')[0].rpartition(':')[2].lower()}"
        return self.headers.get("X-Amz-Target", "").partition(".")[2]

    def _is_lambda(self) -> bool:
        return self.path.startswith("/2015-03-31/functions/")

    def _pass_on(self, body: bytes) -> tuple[int, bytes, str]:
        with contextlib.closing(HTTPConnection(self.aws.target.removeprefix("http://"), timeout=60)) as connection:
            try:
                connection.request("POST", self.path, body, dict(self.headers))
                answer = connection.getresponse()
                return answer.status, answer.read(), answer.headers.get("X-Amzn-ErrorType", "")
            except OSError:  # moto has ended
                return 503, b"", ""

    def _refuse(self, status: int) -> None:
        kind = "TooManyRequestsException" if self._is_lambda() else "ThrottlingException"
        self._answer(status, b'{"__type":"%s","message":"Rate exceeded"}' % kind.encode(), kind)

    def _answer(self, status: int, body: bytes, kind: str = "") -> None:
        with contextlib.suppress(OSError):  # the caller has given up
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            if kind:
                self.send_header("X-Amzn-ErrorType", kind)
            self.end_headers()
            self.wfile.write(body)

    def _wait_for_the_caller_to_go(self, seconds: float) -> None:
        self.connection.settimeout(seconds)
        with contextlib.suppress(OSError):
            self.connection.recv(1)

    def _cut(self) -> None:
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Print nothing."""
