"""Two small real HTTP servers for the page: a site (the real page function and a scripted API) and Supabase Auth.

The scripted API shows every state at once, also those that need two minutes in the real API.
``test_pairing_flow.py`` runs the page against the real API.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from whatsapp_pairing.web import qr

from tests.system.browser.server import Answer, Json, Request, Server

ROOT = Path(__file__).resolve().parents[3]
PAGE = "/home/settings/whatsapp"
ATTEMPT = "5f0f4a52-7a43-4d0c-8f3c-1a2b3c4d5e6f"
CONNECT, DISCONNECT = "POST /api/whatsapp/connect", "POST /api/whatsapp/disconnect"
STATUS, QR_PICTURE = "GET /api/whatsapp/status", "GET /api/whatsapp/qr"
TOKEN = "POST /auth/v1/token"


class Site(Server):
    """The real page function and a scripted API, with the local system's own paths.

    Attributes
    ----------
    status : dict
        The body of ``GET /api/whatsapp/status``.
    development : dict or None
        The body of ``GET /dev/config``; None: the page is not in a local system.
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

    def waiting(self, qr: str, *, seconds: float = 600, left: float = 900, notice: Json | None = None) -> None:
        """Let the status show a QR that lives for `seconds`, in an attempt that has `left` seconds to go."""
        self.status = state(
            "waiting_qr",
            qr=qr,
            qrExpiresAt=iso(self.now() + timedelta(seconds=seconds)),
            attempt=attempt(self.now(), left),
            notice=notice,
        )

    def finishing(self) -> None:
        """Let the status show that the QR was scanned."""
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
            return Answer(200, {"jid": f"{body['number']}:1@s.whatsapp.net", "number": body["number"]})
        return Answer(404, {"error": "unknown_qr", "message": "No client is showing this QR."})

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
                return Answer(200, qr.svg(self.status["qr"]), headers)
        return error(404, "no_qr", "There is no QR now.")


class Supabase(Server):
    """The part of Supabase Auth that the page uses, on its own origin.

    Attributes
    ----------
    site : Site
        The site whose API accepts the tokens that this server issues.
    expires_in : int
        Seconds that an access token lives.
    refresh_tokens : set of str
        The refresh tokens that still work.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.expires_in = 3600
        self.refresh_tokens: set[str] = set()
        self._issued = 0
        super().__init__()

    def reply(self, request: Request) -> Answer:
        """Answer with CORS, so that the page may read it."""
        answer = super().reply(request)
        cors = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*, authorization"}
        return replace(answer, headers=cors | answer.headers)

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        return Answer(204, b"") if request.method == "OPTIONS" else self._auth(request)

    def _auth(self, request: Request) -> Answer:
        if request.path.startswith("/auth/v1/logout"):
            return Answer(204, b"")
        proof = request.body.get("refresh_token") or request.body.get("password")
        if proof not in {"correct horse"} | self.refresh_tokens or request.headers.get("apikey") != "anon-key":
            code = "refresh_token_not_found" if "refresh_token" in request.body else "invalid_credentials"
            return auth_error(400, code)
        self.refresh_tokens.discard(proof)
        return Answer(200, self.issue())

    def issue(self) -> Json:
        """A new pair of tokens: ``access-1`` and ``refresh-1``, and so on."""
        self._issued += 1
        self.site.tokens.add(f"access-{self._issued}")
        self.refresh_tokens.add(f"refresh-{self._issued}")
        tokens = {"access_token": f"access-{self._issued}", "refresh_token": f"refresh-{self._issued}"}
        return tokens | {"expires_in": self.expires_in, "token_type": "bearer"}


def state(status: str, **values: Any) -> Json:
    """A complete body of ``GET /api/whatsapp/status``."""
    names = ("qr", "qrExpiresAt", "attempt", "phoneNumber", "connectedAt", "lastSeen", "error", "notice")
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


def auth_error(status: int, code: str) -> Answer:
    """A refusal as Supabase Auth writes it."""
    return Answer(status, {"code": status, "error_code": code, "msg": "Refused."})


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("page_app", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
