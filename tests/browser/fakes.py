"""Two tiny real HTTP servers for the page: a site (the real page function, a scripted API) and Supabase Auth.

The API is scripted so that every state can be driven quickly, also those that take the real one two minutes;
``test_pairing_flow.py`` runs the page against the real one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import qrcode
import qrcode.image.svg

ROOT = Path(__file__).resolve().parents[2]
PAGE = "/home/settings/whatsapp"
ATTEMPT = "5f0f4a52-7a43-4d0c-8f3c-1a2b3c4d5e6f"
Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What a server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: Json


@dataclass(frozen=True)
class Answer:
    """What it says."""

    status: int
    body: Json | bytes = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0


class Server:
    """One loopback server; subclasses say what to answer.

    Attributes
    ----------
    requests : list of Request
        Everything asked so far.
    skew : timedelta
        How far the clock of this server's answers is from the machine's, which is the browser's.
    broken : bool
        Cut every connection without an answer.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.skew = timedelta()
        self.broken = False
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
        return datetime.now(UTC) + self.skew

    def next(self, call: str, *answers: Answer) -> None:
        """Queue one-time answers to a call such as ``"POST /api/whatsapp/connect"``."""
        self._queued[call].extend(answers)

    def count(self, call: str) -> int:
        """How often a call was made."""
        return sum(f"{request.method} {request.path}" == call for request in self.requests)

    def reply(self, request: Request) -> Answer:
        """Note the request and find its answer."""
        self.requests.append(request)
        queued = self._queued[f"{request.method} {request.path.partition('?')[0]}"]
        return queued.popleft() if queued else self.answer(request)

    def answer(self, request: Request) -> Answer:
        """The answer to a request that nothing was queued for."""
        raise NotImplementedError


class Site(Server):
    """The real page function and a scripted API, with the local runner's helpers.

    Attributes
    ----------
    status : dict
        The body of ``GET /api/whatsapp/status``.
    development : dict or None
        The body of ``GET /dev/config``; None: not the local runner.
    tokens : set of str
        The bearer tokens that the API accepts.
    """

    def __init__(self) -> None:
        self.page = _load(ROOT / "functions" / "page" / "app.py")
        self.status = disconnected()
        self.development: Json | None = {"whatsapp": "sandbox", "sandboxPhone": True}
        self.tokens = {"development"}
        super().__init__()

    @property
    def url(self) -> str:
        """The page's address."""
        return self.origin + PAGE

    def waiting(self, qr: str, *, seconds: float = 60, left: float = 115) -> None:
        """Let the status show a QR that lives for `seconds`, in an attempt that has `left` seconds to go."""
        self.status = state(
            "waiting_qr",
            qr=qr,
            qrExpiresAt=iso(self.now() + timedelta(seconds=seconds)),
            attempt=attempt(self.now(), left),
        )

    def finishing(self) -> None:
        """Let the status be that of a QR just scanned."""
        self.status = state("waiting_qr", attempt=attempt(self.now(), 110))

    def connect(self, **more: Any) -> None:
        """Let the status be connected."""
        now = self.now()
        values = {
            "phoneNumber": "34600111222",
            "connectedAt": iso(now - timedelta(days=3, minutes=5)),
            "lastSeen": iso(now - timedelta(minutes=4, seconds=10)),
            "messagesSent": 1284,
            "messagesReceived": 37,
        }
        self.status = state("connected", connected=True, **(values | more))

    def fail(self, code: str, message: str) -> None:
        """Let the status be an error."""
        self.status = state("error", error={"code": code, "message": message})

    def answer(self, request: Request) -> Answer:
        """Route one request."""
        path = request.path.partition("?")[0]
        if path == PAGE or path.startswith(PAGE + "/"):
            return self._page(path, request.headers)
        if path.startswith("/dev/") and self.development is not None:
            return self._development(path, request.body)
        if path.startswith("/api/whatsapp/"):
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            return self._api(request) if token in self.tokens else error(401, "unauthorized", "Sign in.")
        return error(404, "not_found", "There is nothing here.")

    def _page(self, path: str, headers: dict[str, str]) -> Answer:
        event: Json = {"headers": headers}
        if path != PAGE:
            event["pathParameters"] = {"file": path.removeprefix(PAGE + "/")}
        reply = self.page.handler(event, None)
        return Answer(reply["statusCode"], reply["body"].encode(), reply["headers"])

    def _development(self, path: str, body: Json) -> Answer:
        if path == "/dev/config":
            return Answer(200, self.development or {})
        if path == "/dev/token":
            return Answer(200, {"accessToken": "development", "userId": body.get("userId", "user-1")})
        if path == "/dev/phone/scan" and body.get("qr") == self.status["qr"]:
            self.finishing()
            return Answer(200, {"success": True})
        return error(422, "scan_failed", "The phone did not understand this QR.")

    def _api(self, request: Request) -> Answer:
        match request.method, request.path.removeprefix("/api/whatsapp/"):
            case "POST", "connect":
                self.status = state("connecting", attempt=attempt(self.now(), 120))
                return Answer(202, self.status)
            case "POST", "disconnect":
                self.status = cancelled() if self.status["attempt"] else disconnected()
                return Answer(200, {"success": True, "status": "disconnected"})
            case "GET", "status":
                etag = f'"{hashlib.sha256(json.dumps(self.status).encode()).hexdigest()}"'
                known = request.headers.get("if-none-match") == etag
                headers = {"ETag": etag, "Cache-Control": "no-store", "Server-Time": iso(self.now())}
                return Answer(304, b"", headers) if known else Answer(200, self.status, headers)
            case "GET", "qr" if self.status["qr"]:
                headers = {"Content-Type": "image/svg+xml", "Cache-Control": "no-store"}
                return Answer(200, svg(self.status["qr"]), headers)
        return error(404, "no_qr", "There is no QR now.")


class Supabase(Server):
    """The part of Supabase Auth that the page uses, on an origin of its own.

    Attributes
    ----------
    site : Site
        Its API accepts the tokens given out here.
    expires_in : int
        Seconds that an access token lives.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.expires_in = 3600
        self._issued = 0
        super().__init__()

    def answer(self, request: Request) -> Answer:
        """Answer one request, CORS included."""
        cors = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*, authorization"}
        answer = Answer(204, b"") if request.method == "OPTIONS" else self._auth(request)
        return Answer(answer.status, answer.body, answer.headers | cors)

    def _auth(self, request: Request) -> Answer:
        if request.path.startswith("/auth/v1/logout"):
            return Answer(204, b"")
        proof = request.body.get("refresh_token") or request.body.get("password")
        if proof not in ("correct horse", f"refresh-{self._issued}") or request.headers.get("apikey") != "anon-key":
            return Answer(400, {"code": 400, "error_code": "invalid_credentials", "msg": "Invalid login"})
        self._issued += 1
        self.site.tokens = {f"access-{self._issued}"}
        tokens = {"access_token": f"access-{self._issued}", "refresh_token": f"refresh-{self._issued}"}
        return Answer(200, tokens | {"expires_in": self.expires_in, "token_type": "bearer"})


def state(status: str, **values: Any) -> Json:
    """A complete body of ``GET /api/whatsapp/status``."""
    names = ("qr", "qrExpiresAt", "attempt", "phoneNumber", "connectedAt", "lastSeen", "error")
    empty: Json = dict.fromkeys(names)
    counters = {"messagesSent": 0, "messagesReceived": 0, "connected": False, "pollAfterMs": 100}
    return {"success": True, "status": status} | empty | counters | values


def disconnected() -> Json:
    """The status of a user without WhatsApp."""
    return state("disconnected")


def cancelled() -> Json:
    """The status after a disconnect that ended a pairing."""
    return state("disconnected", error={"code": "cancelled", "message": "The connection was cancelled."})


def attempt(now: datetime, seconds: float) -> Json:
    """An attempt that ends in `seconds`."""
    end = now + timedelta(seconds=seconds)
    return {"id": ATTEMPT, "number": 1, "startedAt": iso(now), "deadline": iso(end)}


def iso(moment: datetime) -> str:
    """A time as the API writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error(status: int, code: str, message: str, **headers: str) -> Answer:
    """An error as the API writes it; ``Retry_After="5"`` becomes a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"success": False, "error": code, "message": message}, named)


def svg(text: str) -> bytes:
    """A QR as the API draws it."""
    out = io.BytesIO()
    qrcode.make(text, image_factory=qrcode.image.svg.SvgPathImage).save(out)
    return out.getvalue()


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("page_app", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _handler_for(server: Server) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            headers = {name.lower(): value for name, value in self.headers.items()}
            if server.broken:
                self.close_connection = True
                return
            answer = server.reply(Request(self.command, self.path, headers, body))
            time.sleep(answer.delay)
            payload = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response_only(answer.status)
            for name, value in ({"Content-Type": "application/json"} | answer.headers).items():
                self.send_header(name, value)
            if answer.status not in (204, 304):
                self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            if answer.status not in (204, 304):
                self.wfile.write(payload)

        do_POST = do_OPTIONS = do_GET

    return Handler
