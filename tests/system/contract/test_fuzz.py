"""Malformed requests get no 5xx, always an answer, and do not disturb a normal user.

``make test`` sends the same 2,000 requests each time. ``make fuzz`` sends 20,000 with a new seed. ``FUZZ_SEED`` and
``FUZZ_REQUESTS`` set both.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import select
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from tests.support.stack import RunningSystem
from tests.system.contract.garbage import Request, make

SEED = int(os.environ.get("FUZZ_SEED") or 1)
REQUESTS = int(os.environ.get("FUZZ_REQUESTS") or 2000)
CONNECTIONS = 8

# How long the client waits before it closes a half-sent request, and before a missing answer counts as silence.
PATIENCE_SECONDS = 0.05
SILENCE_SECONDS = 60

STATUS_LINE = re.compile(rb"^HTTP/1\.[01] (\d{3})", re.MULTILINE)


class Sender:
    """Sends requests from many threads over connections that stay open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._idle: list[socket.socket] = []

    def close(self) -> None:
        """Close the open connections."""
        for connection in self._idle:
            connection.close()

    def send(self, request: Request) -> list[int]:
        """Return the statuses of the answers. A malformed request may have none or several."""
        return [self._on_kept(request)] if request.framed else self._on_new(request)

    def _connected(self) -> socket.socket:
        return socket.create_connection(self._address, timeout=SILENCE_SECONDS)

    def _kept(self) -> socket.socket:
        while self._idle:
            connection = self._idle.pop()
            if not select.select([connection], [], [], 0)[0]:
                return connection
            connection.close()  # readable before a request: the server has closed the connection
        return self._connected()

    def _on_kept(self, request: Request) -> int:
        connection = self._kept()
        # A server may answer and close before it has read the whole request.
        with contextlib.suppress(ConnectionError):
            connection.sendall(request.wire)
        with http.client.HTTPResponse(connection, method=request.method) as answer:
            try:
                answer.begin()
                answer.read()
            except BaseException:
                connection.close()
                raise
            if answer.will_close:
                connection.close()
            else:
                self._idle.append(connection)
            return answer.status

    def _on_new(self, request: Request) -> list[int]:
        received = b""
        with self._connected() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(request.wire)
            select.select([connection], [], [], PATIENCE_SECONDS)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        return [int(status) for status in STATUS_LINE.findall(received)]


def test_the_same_seed_makes_the_same_requests() -> None:
    first = [make(7, number, "a.b.c").wire for number in range(50)]
    assert first == [make(7, number, "a.b.c").wire for number in range(50)]
    assert first != [make(8, number, "a.b.c").wire for number in range(50)]


def test_garbage_gets_no_5xx_and_does_not_disturb_a_user(stack: RunningSystem) -> None:
    victim, user = stack.user(), stack.user()
    sender = Sender(stack.url)
    statuses: Counter[int] = Counter()
    wrong: list[str] = []

    def attack(number: int) -> None:
        request = make(SEED, number, victim.token)
        try:
            found = sender.send(request)
        except (OSError, http.client.HTTPException) as error:
            wrong.append(f"{error!r}: {request}")
            return
        statuses.update(found)
        if any(status >= 500 for status in found):
            wrong.append(f"{found}: {request}")

    with contextlib.closing(sender), ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(attack, range(REQUESTS)))

    print(f"\nseed {SEED}, {REQUESTS} requests, answers: {dict(sorted(statuses.items()))}")
    assert not wrong, f"{len(wrong)} of {REQUESTS}, of which: " + "\n\n".join(wrong[:5])
    # The requests reached the handlers, the authorizer and the gateway's own limits.
    assert {200, 202, 304, 400, 401, 404, 405, 413, 429, 431} <= set(statuses)
    assert stack.process.poll() is None
    assert user.status()["status"] == "disconnected"
    assert victim.status()["success"] is True
    victim.disconnect()
