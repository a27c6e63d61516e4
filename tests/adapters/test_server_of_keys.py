"""A server of keys that is away, slow, or sends a wrong or a huge answer, with real sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from whatsapp_pairing.core.errors import Unavailable
from whatsapp_pairing.web import published_keys
from whatsapp_pairing.web.identity import TokenVerifier

from infra.sandbox.certificates import TlsAuthority
from tests.adapters.conftest import Clock
from tests.support.jwks import Project, served, unknown
from tests.support.stack import PATIENCE_SECONDS


def test_a_server_that_is_down_is_unavailable() -> None:
    elsewhere = Project()
    with served(elsewhere):
        pass
    with pytest.raises(Unavailable):
        TokenVerifier(elsewhere.url).verify(elsewhere.token())


@pytest.mark.parametrize("status", [204, 301, 400, 401, 403, 404, 410, 429, 500, 503])
def test_a_server_that_answers_with_an_error_is_unavailable(
    project: Project, verifier: TokenVerifier, clock: Clock, status: int
) -> None:
    project.instead = (status, b"" if status == 204 else project.jwks())
    with pytest.raises(Unavailable):
        verifier.verify(project.token())
    project.instead = None
    clock.now += 1
    assert verifier.verify(project.token()).user_id == project.user


def test_a_server_that_fails_is_not_asked_for_every_request(
    project: Project, verifier: TokenVerifier, clock: Clock
) -> None:
    project.instead = (503, b"{}")
    for _ in range(20):
        with pytest.raises(Unavailable):
            verifier.verify(project.token())
    assert project.asked == 1


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<!doctype html><title>Sign in</title>", b"[]", b'"keys"', b"7", b"null", b"{}", b'{"keys": 7}',
        b'{"keys": {}}', b'{"keys": "[]"}', b'{"keys": [', b"\xff\xfe", b"[" * 100_000, b'{"keys": ' + b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_a_server_that_does_not_give_keys_is_unavailable(
    project: Project, verifier: TokenVerifier, body: bytes
) -> None:
    """The token may be valid, so the answer must not call it wrong."""
    project.instead = (200, body)
    with pytest.raises(Unavailable):
        verifier.verify(project.token())


def test_known_keys_still_verify_when_their_server_fails(
    project: Project, verifier: TokenVerifier, clock: Clock
) -> None:
    verifier.verify(project.token())
    project.instead = (503, b"")
    clock.now += 60
    assert verifier.verify(project.token()).user_id == project.user
    with pytest.raises(Unavailable):
        verifier.verify(unknown(project))  # the key may be new
    assert verifier.verify(project.token()).user_id == project.user


Answers = Callable[[BaseHTTPRequestHandler], None]


def hangs_up(_: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""


def speaks_no_http(request: BaseHTTPRequestHandler) -> None:
    """Answer with bytes that are not HTTP."""
    request.wfile.write(b"220 smtp.example ESMTP\r\n")


def redirects(request: BaseHTTPRequestHandler) -> None:
    """Redirect the caller to a URL with keys."""
    request.send_response(302)
    request.send_header("Location", "/auth/v1/.well-known/jwks.json?again")
    request.end_headers()


def promises_more(request: BaseHTTPRequestHandler) -> None:
    """Send fewer bytes than Content-Length says."""
    request.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"keys": []}')


ANSWERS: list[Answers] = [hangs_up, speaks_no_http, redirects, promises_more]


@pytest.mark.parametrize("answers", ANSWERS, ids=lambda one: one.__name__)
def test_a_server_with_a_malformed_answer_is_unavailable(
    project: Project, verifier: TokenVerifier, answers: Answers
) -> None:
    project.answers = answers
    with pytest.raises(Unavailable) as away:
        verifier.verify(project.token())
    assert project.asked == 1
    assert away.value.__cause__ is None
    assert "smtp" not in str(away.value)


def test_an_endless_answer_is_not_read_to_its_end(project: Project, verifier: TokenVerifier) -> None:
    """The buffers of both sockets take some megabytes. The server cannot write the rest."""
    piece, written, given_up = b"null," * (256 * 1024 // 5), [0], threading.Event()

    def floods(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b'HTTP/1.1 200 OK\r\n\r\n{"keys": [')
        try:
            while written[0] < 1024**3:
                request.wfile.write(piece)
                written[0] += len(piece)
        finally:
            given_up.set()

    project.answers = floods
    with pytest.raises(Unavailable):
        verifier.verify(project.token())
    assert given_up.wait(PATIENCE_SECONDS)
    assert written[0] < 16 * 1024**2


def drips(head: bytes, dripping: bytes) -> Answers:
    """Begin at once, and then send byte by byte."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n" + head)
        for byte in dripping:
            request.wfile.write(bytes([byte]))
            time.sleep(0.05)

    return answer


DRIPS = {
    "in the head": (b"", b"X-Slow: " + b"x" * 600 + b'\r\n\r\n{"keys": []}'),
    "in the body": (b"Content-Length: 700\r\n\r\n", b'{"keys": []}' + b" " * 688),
    "in a body without a length": (b"\r\n", b'{"keys": []}' + b" " * 688),
}


@pytest.mark.parametrize(("head", "dripping"), DRIPS.values(), ids=DRIPS)
def test_a_server_that_sends_byte_by_byte_is_given_up(
    project: Project, verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch, head: bytes, dripping: bytes
) -> None:
    """No single read times out, but the whole answer would take half a minute."""

    monkeypatch.setattr(published_keys, "_ANSWER_SECONDS", 0.5)
    project.answers = drips(head, dripping)
    with pytest.raises(Unavailable):
        verifier.verify(project.token())


def test_tls_carries_keys_and_the_limit_for_slow_servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = TlsAuthority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    with served(Project(), authority.server_context()) as project:
        assert TokenVerifier(project.url).verify(project.token()).user_id == project.user
        project.answers = drips(*DRIPS["in the body"])
        monkeypatch.setattr(published_keys, "_ANSWER_SECONDS", 0.5)
        with pytest.raises(Unavailable):
            TokenVerifier(project.url).verify(project.token())


def test_a_certificate_that_is_not_trusted_is_unavailable(tmp_path: Path) -> None:
    with served(Project(), TlsAuthority(tmp_path).server_context()) as project, pytest.raises(Unavailable):
        TokenVerifier(project.url).verify(project.token())


def test_a_slow_failure_lengthens_the_pause(project: Project, verifier: TokenVerifier, clock: Clock) -> None:
    """With a short pause, nearly every request would wait for the server and occupy a function."""

    def slowly(_: BaseHTTPRequestHandler) -> None:
        clock.now += 4

    project.answers = slowly
    for _ in range(3):
        with pytest.raises(Unavailable):
            verifier.verify(project.token())
        clock.now += 1
    assert project.asked == 1
    clock.now += 1
    project.answers = None
    assert verifier.verify(project.token()).user_id == project.user


def test_a_failed_fetch_is_not_repeated_for_a_second_after_it(
    project: Project, verifier: TokenVerifier, clock: Clock
) -> None:
    def slowly(_: BaseHTTPRequestHandler) -> None:
        clock.now += 5

    project.answers = slowly
    with pytest.raises(Unavailable):
        verifier.verify(project.token())
    project.answers = None
    clock.now += 0.9
    with pytest.raises(Unavailable, match="a moment ago"):
        verifier.verify(project.token())
    assert project.asked == 1


@pytest.mark.parametrize("fails", [False, True], ids=["good", "bad"])
def test_calls_at_once_wait_for_one_fetch(project: Project, verifier: TokenVerifier, fails: bool) -> None:
    asked, go_on, start = threading.Event(), threading.Event(), threading.Barrier(8)

    def when_told(request: BaseHTTPRequestHandler) -> None:
        asked.set()
        assert go_on.wait(PATIENCE_SECONDS)
        body = b"{}" if fails else project.jwks()
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def verify(_: int) -> str:
        start.wait(PATIENCE_SECONDS)
        try:
            return str(verifier.verify(project.token()).user_id)
        except Unavailable:
            return "unavailable"

    project.answers = when_told
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(verify, range(8))
        assert asked.wait(PATIENCE_SECONDS)
        time.sleep(0.2)  # time for the other calls to start waiting (or to fetch, if the code were wrong)
        go_on.set()
        assert set(answers) == {"unavailable" if fails else str(project.user)}
    assert project.asked == 1
