"""Requests with `Expect: 100-continue` to the local HTTP API."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest

from tests.support.stack import PATIENCE_SECONDS
from tests.tools.local.fixture_runner import FixtureRunner


def _exchange(runner: FixtureRunner, head: str) -> socket.socket:
    """Send the head of a request, and do not wait."""
    address = urlsplit(runner.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=PATIENCE_SECONDS)
    lines = [*head.split("\n"), "Host: x", "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def _read_until(connection: socket.socket, end: bytes) -> bytes:
    received = b""
    while end not in received:
        chunk = connection.recv(65536)
        assert chunk, f"closed after {received!r}"
        received += chunk
    return received


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue", " 100-continue , 100-continue"])
@pytest.mark.parametrize("framing", ["Content-Length: 4", "Transfer-Encoding: chunked"])
def test_expect_100_continue_is_answered_before_the_body(runner: FixtureRunner, expectation: str, framing: str) -> None:
    with _exchange(runner, f"POST /probe HTTP/1.1\nExpect: {expectation}\n{framing}") as connection:
        assert _read_until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"body" if "Length" in framing else b"4\r\nbody\r\n0\r\n\r\n")
        answer = _read_until(connection, b'"body": "body"')
        assert answer.startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /probe HTTP/1.1\r\nHost: x\r\n\r\n")  # the connection serves the next request
        assert b"HTTP/1.1 200 " in _read_until(connection, b'"remaining"')


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("Expect: 200-ok\nContent-Length: 4", 417),
        ("Expect: 100-continue, magic\nContent-Length: 4", 417),
        ("Expect: 100-continue\nExpect: 7\nContent-Length: 4", 417),
        ("Expect: 100-continue\nContent-Length: 99999999", 413),
    ],
)
def test_an_unmet_expectation_is_refused_at_once(runner: FixtureRunner, lines: str, status: int) -> None:
    with _exchange(runner, f"POST /probe HTTP/1.1\n{lines}") as connection:
        head = _read_until(connection, b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"connection: close" in head.lower()


@pytest.mark.parametrize("line", ["GET /probe HTTP/1.1\nExpect: 100-continue", "GET /probe HTTP/1.1\nExpect:"])
def test_a_request_without_a_body_gets_no_100(runner: FixtureRunner, line: str) -> None:
    with _exchange(runner, line) as connection:
        assert _read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_client_of_http_1_0_gets_no_100(runner: FixtureRunner) -> None:
    with _exchange(runner, "POST /probe HTTP/1.0\nExpect: 100-continue\nContent-Length: 4") as connection:
        connection.sendall(b"body")
        assert b"100 Continue" not in _read_until(connection, b'"body": "body"')
