"""Runs the whole local system in a process of its own, and acts as a user of its API."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, Any

import boto3
import psycopg

from tests.support.sandbox_client import SandboxClient

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120
# The longest wait for something that takes seconds. It is so long that no test depends on the machine's speed.
PATIENCE_SECONDS = 120.0


class RunningSystem:
    """``python -m infra.local`` on a free port. ``stop`` ends everything that it has started.

    It may delete rows in the database that the tests give it, unless ``may_delete`` is false.
    """

    def __init__(self, data_dir: Path, *arguments: str, stderr: IO[str] | None = None, may_delete: bool = True) -> None:
        allowed = ("--may-delete",) if may_delete else ()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "infra.local", "--port", "0", "--data-dir", str(data_dir), *allowed, *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        self.data_dir = data_dir
        self.database_url = arguments[arguments.index("--database-url") + 1] if "--database-url" in arguments else ""
        self.printed = ""
        self.url = self._ready().split()[1]

    def _ready(self) -> str:
        assert self.process.stdout
        readable, _, _ = select.select([self.process.stdout], [], [], START_SECONDS)
        line = self.process.stdout.readline() if readable else ""
        self.printed += line
        if not line.startswith("ready"):
            self.stop()
            raise RuntimeError("the runner did not become ready; its standard error says why")
        return line

    def stop(self) -> int:
        """End it by SIGTERM and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout
        try:
            status = self.process.wait(PATIENCE_SECONDS)
            if not self.process.stdout.closed:  # ``stop`` was called before
                self.printed += self.process.stdout.read()
            return status
        finally:
            self.process.kill()
            self.process.stdout.close()

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement on the system's database."""
        with psycopg.connect(self.database_url) as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def user(self, user_id: str | None = None, level: str = "aal1") -> User:
        """Return a signed-in user, by default a new one. The level ``aal2`` means with a second factor."""
        asked = {"aal": level} | ({"userId": user_id} if user_id else {})
        token = call("POST", f"{self.url}/dev/token", asked).json()
        return User(self, token["userId"], token["accessToken"])

    @property
    def sandbox(self) -> SandboxClient:
        """The control of the simulated WhatsApp."""
        return SandboxClient(call("GET", f"{self.url}/dev/config").json()["sandboxControl"])

    def devices(self, number: str) -> list[dict[str, Any]]:
        """Return the linked devices that the phone lists."""
        return self.sandbox.devices(number)

    def aws(self, service: str) -> Any:
        """Return a client of the local AWS."""
        return boto3.client(
            service,
            endpoint_url=call("GET", f"{self.url}/dev/config").json()["awsEndpoint"],
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def invoke(self, function: str) -> dict[str, Any]:
        """Invoke a function as its schedule would, and return what it answers."""
        answer = self.aws("lambda").invoke(FunctionName=function, Payload=b"{}")
        payload = answer["Payload"].read()
        assert "FunctionError" not in answer, payload
        return dict(json.loads(payload))

    def instances(self, name: str) -> list[dict[str, Any]]:
        """Return the running instances of a function."""
        return [one for one in call("GET", f"{self.url}/dev/functions").json() if one["name"] == name]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Message
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class User:
    """One signed-in user."""

    stack: RunningSystem
    id: str
    token: str = field(repr=False)

    def call(self, method: str, path: str, **headers: str) -> Answer:
        """Call the API as this user."""
        sent = {"Authorization": f"Bearer {self.token}"} | {name.replace("_", "-"): it for name, it in headers.items()}
        return call(method, f"{self.stack.url}/api/whatsapp/{path}", headers=sent)

    def connect(self) -> Answer:
        """Click "Connect WhatsApp"."""
        return self.call("POST", "connect")

    def disconnect(self) -> Answer:
        """Click "Disconnect"."""
        return self.call("POST", "disconnect")

    def status(self) -> dict[str, Any]:
        """Return the session."""
        body: dict[str, Any] = self.call("GET", "status").json()
        return body

    def wait(
        self, seconds: float, what: str, holds: Callable[[dict[str, Any]], object], every: float = 0.05
    ) -> dict[str, Any]:
        """Poll until ``holds(status)``. Fail with the last status after ``seconds``."""
        until = time.monotonic() + seconds
        while True:
            status = self.status()
            if holds(status):
                return status
            assert time.monotonic() < until, f"no {what} within {seconds} s; last: {status}"
            time.sleep(every)

    def qr(self, seconds: float = PATIENCE_SECONDS, other_than: str | None = None) -> str:
        """Wait for a QR and return its text."""
        shown = self.wait(seconds, "QR", lambda status: status.get("qr") not in (None, other_than))
        return str(shown["qr"])

    def reaches(self, state: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Wait for a status and return the session."""
        return self.wait(seconds, state, lambda status: status.get("status") == state)

    def let_window_end(self, when: str) -> None:
        """End the window when the SQL condition ``when`` holds of the attempt, so that no test waits for its end."""
        statement = f"UPDATE whatsapp_private.attempts SET deadline = now() WHERE user_id = %s AND {when} RETURNING id"
        self.wait(PATIENCE_SECONDS, when, lambda _: self.stack.sql(statement, self.id))

    def scan(self, qr: str, number: str) -> Answer:
        """Scan with the sandbox's phone."""
        return call("POST", f"{self.stack.url}/dev/phone/scan", {"qr": qr, "number": number})

    def scan_each(self, number: str, times: int) -> str:
        """Scan this many QRs one after the other, and return the last one."""
        qr: str | None = None
        for _ in range(times):
            qr = self.qr(other_than=qr)
            self.scan(qr, number)
        return str(qr)


def call(method: str, url: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
    """Send one request. An HTTP error is returned like any other answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())
