"""A project's keys: fetched, cached, asked for again, and whatever their server may do, against a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from whatsapp_pairing import published_keys
from whatsapp_pairing.errors import Unauthorized, Unavailable
from whatsapp_pairing.identity import TokenVerifier
from whatsapp_pairing.refusals import Refusal

from infra.sandbox.certificates import TlsAuthority

from .conftest import Clock
from .jwks import Project, served


def unknown(project: Project, number: int = 0) -> str:
    """A well-made token of a key that nobody has published."""
    return jwt.encode(project.claims(), project.keys["ec"], "ES256", {"kid": f"unknown-{number}"})


def refused(verifier: TokenVerifier, token: str) -> Refusal:
    """The class by which a token is refused."""
    with pytest.raises(Unauthorized) as error:
        verifier.verify(token)
    return error.value.refusal


# ── cached, and asked for again ──


def test_keys_are_fetched_once(project: Project, verifier: TokenVerifier) -> None:
    for _ in range(5):
        verifier.verify(project.token())
        verifier.verify(project.token("rsa"))
    assert project.asked == 1


def test_a_question_for_keys_names_itself(project: Project, verifier: TokenVerifier) -> None:
    verifier.verify(project.token())
    assert project.headers is not None
    assert project.headers["User-Agent"] == "whatsapp-pairing"


def test_a_new_key_is_found_by_its_first_token(
    project: Project, verifier: TokenVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier.verify(project.token())
    clock.now += 60
    monkeypatch.setitem(project.keys, "rotated", ec.generate_private_key(ec.SECP256R1()))
    assert verifier.verify(project.token("rotated")).user_id == project.user
    assert project.asked == 2


def test_a_new_key_is_found_in_seconds_among_invented_ones(
    project: Project, verifier: TokenVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(verifier, unknown(project))
    monkeypatch.setitem(project.keys, "rotated", ec.generate_private_key(ec.SECP256R1()))
    assert refused(verifier, project.token("rotated")) is Refusal.UNKNOWN_KEY
    for number in range(5):
        clock.now += 1
        refused(verifier, unknown(project, number))
    assert verifier.verify(project.token("rotated")).user_id == project.user
    assert project.asked == 2


def test_unknown_keys_do_not_make_us_ask_and_ask(project: Project, verifier: TokenVerifier, clock: Clock) -> None:
    for number in range(100):
        clock.now += 0.1
        assert refused(verifier, unknown(project, number)) is Refusal.UNKNOWN_KEY
    assert project.asked <= 3


@pytest.mark.parametrize(
    "changed", [{"exp": 1}, {"iss": "https://other.example"}, {"aud": "x"}, {"role": "anon"}], ids=str
)
def test_claims_that_rule_it_out_make_nobody_ask(
    project: Project, verifier: TokenVerifier, changed: dict[str, object]
) -> None:
    refused(verifier, project.token(**changed))
    assert project.asked == 0


def test_keys_are_forgotten_after_ten_minutes(
    project: Project, verifier: TokenVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = project.token("rsa")
    verifier.verify(token)
    monkeypatch.delitem(project.keys, "rsa")  # revoked
    clock.now += 599
    verifier.verify(token)
    assert project.asked == 1
    clock.now += 1
    assert refused(verifier, token) is Refusal.UNKNOWN_KEY
    assert project.asked == 2


# ── what a set of keys may hold ──


@pytest.mark.parametrize("body", [b'{"keys": []}', b'{"keys": null}', b'{"keys": [], "more": 1}'], ids=repr)
def test_a_project_without_keys_knows_no_token(project: Project, verifier: TokenVerifier, body: bytes) -> None:
    """A project that signs with its legacy secret publishes none; a stranger's token must not look like an outage."""
    project.instead = (200, body)
    assert refused(verifier, project.token()) is Refusal.UNKNOWN_KEY


def odd_keys() -> dict[str, object]:
    private = ec.generate_private_key(ec.SECP256R1())
    good = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return {
        "an unknown type": {"kty": "LATTICE", "kid": "odd"},
        "no type": {"kid": "odd"},
        "a type that is a list": {"kty": ["EC"], "kid": "odd"},
        "a curve that is none": good | {"crv": "P-1", "kid": "odd"},
        "a curve of another algorithm": {"kty": "OKP", "crv": "Ed25519", "x": "a" * 43, "kid": "odd"},
        "a point that is none": good | {"x": "!", "kid": "odd"},
        "an algorithm that is none": good | {"alg": "XY256", "kid": "odd"},
        "an algorithm that is a number": good | {"alg": 7, "kid": "odd"},
        "a shared secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "odd"},
        "a key for encryption": good | {"use": "enc", "kid": "odd"},
        "no id": good,
        "an id that is a number": good | {"kid": 7},
        "no object": "key",
        "null": None,
        "a number": 7,
        "a list": [],
    }


@pytest.mark.parametrize("odd", odd_keys().values(), ids=odd_keys())
def test_an_odd_key_does_not_spoil_the_others(project: Project, verifier: TokenVerifier, odd: object) -> None:
    keys = json.loads(project.jwks())["keys"]
    project.instead = (200, json.dumps({"keys": [odd, *keys, odd]}).encode())
    assert verifier.verify(project.token()).user_id == project.user
    named_odd = jwt.encode(project.claims(), project.keys["ec"], "ES256", {"kid": "odd"})
    assert refused(verifier, named_odd) is Refusal.UNKNOWN_KEY


def test_a_published_secret_signs_nothing(project: Project, verifier: TokenVerifier) -> None:
    """HS256 with a key that anybody can read would let anybody in."""
    secret = {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "oct", "alg": "HS256", "use": "sig"}
    project.instead = (200, json.dumps({"keys": [secret]}).encode())
    token = jwt.encode(project.claims(), jwt.PyJWK(secret).key, "HS256", {"kid": "oct"})
    assert refused(verifier, token) is Refusal.ALGORITHM


def test_a_key_that_names_no_algorithm_is_used(project: Project, verifier: TokenVerifier) -> None:
    rsa_key = project.keys["rsa"]
    assert isinstance(rsa_key, rsa.RSAPrivateKey)
    project.instead = (
        200,
        json.dumps({"keys": [RSAAlgorithm.to_jwk(rsa_key.public_key(), as_dict=True) | {"kid": "rsa"}]}).encode(),
    )
    assert verifier.verify(project.token("rsa")).user_id == project.user


# ── a server that does not do its work ──


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
    """A good token is not to be told that it is bad."""
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
        verifier.verify(unknown(project))  # it may be new
    assert verifier.verify(project.token()).user_id == project.user


Answers = Callable[[BaseHTTPRequestHandler], None]


def hangs_up(_: BaseHTTPRequestHandler) -> None:
    """Say nothing and close the connection."""


def speaks_no_http(request: BaseHTTPRequestHandler) -> None:
    """Answer in another language."""
    request.wfile.write(b"220 smtp.example ESMTP\r\n")


def redirects(request: BaseHTTPRequestHandler) -> None:
    """Send the caller to where keys are."""
    request.send_response(302)
    request.send_header("Location", "/auth/v1/.well-known/jwks.json?again")
    request.end_headers()


def promises_more(request: BaseHTTPRequestHandler) -> None:
    """Send less than announced."""
    request.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"keys": []}')


def floods(request: BaseHTTPRequestHandler) -> None:
    """Send a set of keys of a gigabyte, as far as it is read."""
    request.wfile.write(b'HTTP/1.1 200 OK\r\n\r\n{"keys": [')
    for _ in range(1024):
        request.wfile.write(b"null," * (1024 * 1024 // 5))


ANSWERS: list[Answers] = [hangs_up, speaks_no_http, redirects, promises_more, floods]


@pytest.mark.parametrize("answers", ANSWERS, ids=lambda one: one.__name__)
def test_an_odd_server_is_unavailable(project: Project, verifier: TokenVerifier, answers: Answers) -> None:
    project.answers = answers
    with pytest.raises(Unavailable) as away:
        verifier.verify(project.token())
    assert project.asked == 1
    assert away.value.__cause__ is None
    assert "smtp" not in str(away.value)


def drips(head: bytes, dripping: bytes) -> Answers:
    """Begin at once, and send the rest byte by byte."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n" + head)
        for byte in dripping:
            request.wfile.write(bytes([byte]))
            time.sleep(0.05)

    return answer


DRIPS = {
    "in the head": (b"", b"X-Slow: " + b"x" * 600),
    "in the body": (b"Content-Length: 700\r\n\r\n", b'{"keys": []}' + b" " * 688),
    "in a body without a length": (b"\r\n", b'{"keys": []}' + b" " * 688),
}


@pytest.mark.parametrize(("head", "dripping"), DRIPS.values(), ids=DRIPS)
def test_a_server_that_drips_is_given_up(
    project: Project, verifier: TokenVerifier, monkeypatch: pytest.MonkeyPatch, head: bytes, dripping: bytes
) -> None:
    """Each byte comes long before a read would time out; all of them take half a minute, which is too long."""

    monkeypatch.setattr(published_keys, "_ANSWER_SECONDS", 0.5)
    project.answers = drips(head, dripping)
    with pytest.raises(Unavailable):
        verifier.verify(project.token())


def test_keys_come_over_tls_and_so_does_a_drip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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


def test_a_slow_failure_buys_a_long_pause(project: Project, verifier: TokenVerifier, clock: Clock) -> None:
    """Otherwise nearly every request would wait for the server, and hold a function while it does."""

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


# ── a project that signs with its legacy secret ──


@pytest.mark.parametrize("status", [404, 410])
def test_a_legacy_project_may_publish_no_address_at_all(project: Project, status: int) -> None:
    project.instead = (status, b"not found")
    legacy = TokenVerifier(project.url, lambda: "a shared secret of more than thirty-two bytes")
    assert refused(legacy, project.token()) is Refusal.UNKNOWN_KEY
