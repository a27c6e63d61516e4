"""A local system that a checkout runs with its own engine, on a given database. People pair and disconnect there."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from infra.children import ChildGuard
from infra.engine_version.candidate import Checkout
from infra.errors import ToolError

# These limits are long, so that a busy machine stays below them.
_START_SECONDS = 180.0
_PATIENCE_SECONDS = 120.0
_STOP_SECONDS = 60.0
_CALL_SECONDS = 60.0


@dataclass(frozen=True)
class Person:
    """A signed-in user, and their phone."""

    user: str
    number: str


class Deployment:
    """A running local system."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._control = self._call("GET", f"{url}/dev/config")["sandboxControl"]

    def show_qr(self, person: Person) -> str:
        """Click "Connect" for the person, and return the QR code.

        Raises
        ------
        ToolError
            No QR code comes. The message names the reason.
        """
        self._api(person, "POST", "connect")
        return str(self._until(person, "QR code", lambda status: status.get("qr"))["qr"])

    def scan(self, person: Person, qr: str) -> None:
        """Scan the QR code with the person's phone, and wait until the session is connected.

        Raises
        ------
        ToolError
            The pairing fails. The message names the reason.
        """
        self._call("POST", f"{self._url}/dev/phone/scan", {"qr": qr, "number": person.number})
        self._until(person, "connection", lambda status: status["status"] == "connected")

    def status(self, person: Person) -> str:
        """Return the status of the person's session."""
        return str(self._api(person, "GET", "status")["status"])

    def disconnect(self, person: Person) -> None:
        """Disconnect the person, and wait until the phone lists no device any more.

        Raises
        ------
        ToolError
            The phone still lists a device when the time is over.
        """
        self._api(person, "POST", "disconnect")
        until = time.monotonic() + _PATIENCE_SECONDS
        while self.devices(person):
            if time.monotonic() > until:
                raise ToolError(f"the phone still lists the device after {_PATIENCE_SECONDS:.0f} s")
            time.sleep(0.2)

    def devices(self, person: Person) -> list[Any]:
        """Return the devices that the person's phone lists."""
        return list(self._call("GET", f"{self._control}/phone/devices?number={person.number}")["devices"])

    def announced(self) -> str:
        """Return the version of WhatsApp Web that the connected engines announce."""
        sockets = self._call("GET", f"{self._control}/state")["sockets"]
        return ", ".join(sorted({socket["version"] for socket in sockets if "version" in socket}))

    def _until(self, person: Person, what: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            status = self._api(person, "GET", "status")
            if holds(status):
                return status
            if status["status"] in ("error", "disconnected") or time.monotonic() > until:
                why = (status.get("error") or {}).get("code") or status["status"]
                raise ToolError(f"no {what}: {why}")
            time.sleep(0.2)

    def _api(self, person: Person, method: str, path: str) -> dict[str, Any]:
        token = self._call("POST", f"{self._url}/dev/token", {"userId": person.user})["accessToken"]
        return self._call(method, f"{self._url}/api/whatsapp/{path}", token=token)

    def _call(self, method: str, url: str, body: object = None, token: str = "") -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(url, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_CALL_SECONDS) as response:
                return dict(json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                path = request.selector.partition("?")[0]
                raise ToolError(f"{method} {path} got {error.code}: {error.read().decode()[:200]}") from None


@contextmanager
def deployed(
    checkout: Checkout, database_url: str, data_dir: Path, log: Path, guard: ChildGuard
) -> Iterator[Deployment]:
    """Run the checkout's local system on a database, and end it.

    Parameters
    ----------
    data_dir
        Keeps the simulated WhatsApp, so the next system finds the phones and their devices again.

    Raises
    ------
    ToolError
        It does not become ready. The message is its last line.
    """
    command = [checkout.python, "-m", "infra.local", "--port", "0", "--data-dir", data_dir]
    command += ["--database-url", database_url, "--may-delete"]
    written = log.open("ab")
    start = written.tell()
    with (
        written,
        subprocess.Popen(
            [*map(str, command)],
            cwd=checkout.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        guard.watch(process.pid, signal.SIGTERM)
        # If the system does not become ready in time, this ends it, and so ends the wait for its first line.
        too_late = threading.Timer(_START_SECONDS, process.kill)
        too_late.start()
        try:
            assert process.stdout
            line = process.stdout.readline()
            too_late.cancel()
            if not line.startswith("ready"):
                process.wait(_STOP_SECONDS)
                raise ToolError(_last_line(log, start))
            threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()
            yield Deployment(line.split()[1])
        finally:
            too_late.cancel()
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            guard.unwatch(process.pid)


def _drain(output: IO[str]) -> None:
    for _ in output:
        pass


def _last_line(log: Path, start: int) -> str:
    with log.open("rb") as written:
        written.seek(start)
        lines = written.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it ended without a word")
