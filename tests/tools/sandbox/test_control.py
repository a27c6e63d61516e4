"""The sandbox's HTTP control: its refusals, the knobs, and the hosts that the proxy has refused."""

from __future__ import annotations

import base64
import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.sandbox.process import SandboxProcess
from tests.support.sandbox_client import SandboxClient, SandboxRefusedError

KEY = base64.b64encode(bytes(32)).decode()
NOBODYS_QR = f"https://wa.me/settings/linked_devices#2@ref,{KEY},{KEY},{KEY},6"


def request(process: SandboxProcess, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(process.ready["control"]).netloc, timeout=5)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_request"),
        (b"{", "bad_request"),
        (b"\xff\xfe", "bad_request"),
        (b"[" * 60_000, "bad_request"),
        (b"[]", "bad_request"),
        (b"{}", "bad_request"),
        (b'{"qr": 1, "number": "34600111222"}', "bad_request"),
        (b'{"qr": "x", "number": "34600111222", "more": 1}', "bad_request"),
        (b'{"qr": "", "number": "34600111222"}', "bad_qr"),
        (b'{"qr": "https://example.org/", "number": "34600111222"}', "bad_qr"),
        (json.dumps({"qr": f"ref,{KEY},{KEY},short,6", "number": "34600111222"}).encode(), "bad_qr"),
        (json.dumps({"qr": f"ref,{KEY},{KEY},\u00e9,6", "number": "34600111222"}).encode(), "bad_qr"),
        (json.dumps({"qr": NOBODYS_QR, "number": "346"}).encode(), "bad_number"),
        (json.dumps({"qr": NOBODYS_QR, "number": "0034600111222"}).encode(), "bad_number"),
        (json.dumps({"qr": NOBODYS_QR, "number": "+34 600 111"}).encode(), "bad_number"),
        (json.dumps({"qr": NOBODYS_QR, "number": "\u0663" * 9}).encode(), "bad_number"),
    ],
)
def test_a_malformed_scan_is_a_400(process: SandboxProcess, body: bytes, code: str) -> None:
    status, answer = request(process, "POST", "/phone/scan", body)
    assert (status, answer["error"]) == (400, code)
    assert answer["message"].endswith((".", "valid string", "required", "permitted"))


def test_a_scan_of_an_unknown_qr_is_a_404(sandbox: SandboxClient) -> None:
    with pytest.raises(SandboxRefusedError) as refused:
        sandbox.scan(NOBODYS_QR, "34600111222")
    assert (refused.value.status, refused.value.code) == (404, "unknown_qr")


def test_a_call_about_an_unknown_number_is_a_404(sandbox: SandboxClient) -> None:
    assert sandbox.devices("34699999999") == []
    with pytest.raises(SandboxRefusedError) as refused:
        sandbox.unlink("34699999999")
    assert (refused.value.status, refused.value.code) == (404, "unknown_number")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/phone/devices", 400),
        ("GET", "/phone/devices?number=abc", 400),
        ("GET", "/phone/scan", 405),
        ("PUT", "/knobs", 405),
        ("BREW", "/knobs", 501),
    ],
)
def test_a_wrong_call_of_the_control_is_refused(process: SandboxProcess, method: str, path: str, status: int) -> None:
    got, answer = request(process, method, path)
    assert got == status
    assert set(answer) == {"error", "message"}


def test_a_large_body_is_refused_unread(process: SandboxProcess) -> None:
    assert request(process, "POST", "/phone/scan", bytes(70_000))[0] == 413


@pytest.mark.parametrize(
    "head",
    [b"GARBAGE\r\n\r\n", b"POST /knobs HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"\x16\x03\x01\0\0\r\n\r\n"],
)
def test_a_request_that_is_not_http_is_a_400(process: SandboxProcess, sandbox: SandboxClient, head: bytes) -> None:
    address = urlsplit(process.ready["control"])
    with socket.create_connection((address.hostname, address.port), 5) as connection:
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            assert b'"error": "bad_request"' in answer.read()
    assert sandbox.state()["accounts"] >= 0


def test_knobs_change_and_can_be_reset(sandbox: SandboxClient) -> None:
    defaults = sandbox.knobs()
    assert defaults["refs"] == 6
    assert sandbox.set_knobs(refs=1, silent="tcp", qrDelaySeconds=1)["silent"] == "tcp"
    assert sandbox.set_knobs(silent=None)["refs"] == 1
    assert sandbox.reset_knobs() == defaults


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("nonsense", 1),
        ("refs", "six"),
        ("refs", 0),
        ("refs", None),
        ("refs", True),
        ("silent", "tls"),
        ("refuse", "yes"),
        ("refuse", 1),
        ("qrDelaySeconds", -1),
        ("qrDelaySeconds", float("nan")),
        ("loginFailure", 200),
        ("tamper", "everything"),
        ("failTimes", -1),
        ("qr_delay_seconds", 1),
    ],
)
def test_a_wrong_knob_is_named_and_no_knob_changes(sandbox: SandboxClient, knob: str, value: object) -> None:
    before = sandbox.knobs()
    with pytest.raises(SandboxRefusedError, match=knob) as refused:
        sandbox.set_knobs(**{"passkey": True, knob: value})
    assert (refused.value.status, refused.value.code) == (400, "bad_knob")
    assert sandbox.knobs() == before


@pytest.mark.parametrize("target", ["mmg.whatsapp.net:443", "example.org:443", "web.whatsapp.com:80"])
def test_the_proxy_refuses_and_remembers_other_hosts(
    process: SandboxProcess, sandbox: SandboxClient, target: str
) -> None:
    address = urlsplit(process.ready["proxy"])
    with socket.create_connection((address.hostname, address.port), 5) as connection:
        connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")
    assert target in sandbox.state()["refusedHosts"]
