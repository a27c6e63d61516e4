"""A real HTTP server whose answers a test may hold back, lose or replace."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONGEST_HOLD_SECONDS = 120
Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A request that a server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: Json


@dataclass(frozen=True)
class Answer:
    """An answer of a server.

    Attributes
    ----------
    held : threading.Event or None
        Send the answer when this event is set.
    lost : bool
        Cut the connection instead of sending the answer.
    promised : int
        Bytes that Content-Length promises beyond those of the body.
    """

    status: int
    body: Json | bytes = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    held: threading.Event | None = None
    lost: bool = False
    promised: int = 0


class Server:
    """One server on 127.0.0.1. A subclass decides the answers.

    Attributes
    ----------
    requests : list of Request
        Every request so far.
    standing : dict of str to Answer
        Answers that a call such as ``"GET /api/whatsapp/status"`` gets each time, instead of the usual one.
    skew : timedelta
        How far the server's clock is ahead of the browser's.
    broken : bool
        Cut every connection without an answer.
    released : int
        How many held answers were sent, or could not be sent because the page had aborted the request.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.standing: dict[str, Answer] = {}
        self.skew = timedelta()
        self.broken = False
        self.released = 0
        self._stopped: datetime | None = None
        self._queued: defaultdict[str, deque[Answer]] = defaultdict(deque)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()

    def now(self) -> datetime:
        """The time by this server's clock."""
        return (self._stopped or datetime.now(UTC)) + self.skew

    def stop_clock(self) -> None:
        """Stop this server's clock. From now on only `skew` moves it."""
        self._stopped = self._stopped or datetime.now(UTC)

    def next(self, call: str, *answers: Answer) -> None:
        """Queue one-time answers to a call such as ``"POST /api/whatsapp/connect"``."""
        self._queued[call].extend(answers)

    def count(self, call: str) -> int:
        """How often a call was made."""
        return sum(f"{request.method} {request.path}" == call for request in self.requests)

    def reply(self, request: Request) -> Answer:
        """Note the request and find its answer."""
        self.requests.append(request)
        call = f"{request.method} {request.path.partition('?')[0]}"
        if self._queued[call]:
            return self._queued[call].popleft()
        return self.standing.get(call) or self.answer(request)

    def answer(self, request: Request) -> Answer:
        """The answer to a request that nothing was queued for."""
        raise NotImplementedError


def _handler_for(server: Server) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with suppress(ConnectionError):  # the page has aborted the request
                super().handle()

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            headers = {name.lower(): value for name, value in self.headers.items()}
            if server.broken:
                self.close_connection = True
                return
            answer = server.reply(Request(self.command, self.path, headers, body))
            if not answer.held:
                self._say(answer)
                return
            if not answer.held.wait(LONGEST_HOLD_SECONDS):
                raise TimeoutError(f"nobody has released the answer to {self.path}")
            try:
                self._say(answer)
            finally:
                server.released += 1

        def _say(self, answer: Answer) -> None:
            if answer.lost:
                self.close_connection = True
                return
            payload = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response_only(answer.status)
            for name, value in ({"Content-Type": "application/json"} | answer.headers).items():
                self.send_header(name, value)
            if answer.status not in (204, 304):
                self.send_header("Content-Length", str(len(payload) + answer.promised))
            self.end_headers()
            if answer.status not in (204, 304):
                self.wfile.write(payload)
                self.close_connection = self.close_connection or bool(answer.promised)

        do_POST = do_OPTIONS = do_GET

    return Handler
