"""How the real engine reports each fault that the sandbox can play."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from infra.sandbox.errors import BadKnobError
from infra.sandbox.knobs import KnobBoard
from tests.support.sandbox_client import SandboxClient, SandboxRefusedError

Pair = Callable[[], Any]


def test_a_refused_connection_raises_an_error(sandbox: SandboxClient, pair: Pair) -> None:
    sandbox.set_knobs(refuse=True)
    assert "failed to dial" in pair().wait("raised")["message"]


@pytest.mark.parametrize("stage", ["tcp", "upgrade", "handshake"])
def test_a_silent_whatsapp_leaves_the_engine_connecting(sandbox: SandboxClient, pair: Pair, stage: str) -> None:
    sandbox.set_knobs(silent=stage)
    engine = pair()
    engine.wait("connecting")
    assert engine.names(seconds=1) == ["connecting"]


@pytest.mark.parametrize(
    ("reason", "status"), [(405, "err-client-outdated"), (503, "timeout"), (401, "err-unexpected-state")]
)
def test_each_connect_failure_is_reported_as_its_status(
    sandbox: SandboxClient, pair: Pair, reason: int, status: str
) -> None:
    sandbox.set_knobs(connectFailure=reason)
    pair().wait("LoginStatus", status=status)


def test_a_delayed_qr_still_comes(sandbox: SandboxClient, pair: Pair) -> None:
    sandbox.set_knobs(qrDelaySeconds=1)
    engine = pair()
    begun = engine.wait("connecting")["at"]
    assert engine.wait("qr")["at"] - begun >= 1


def test_a_socket_dropped_after_the_qr_is_reported(sandbox: SandboxClient, pair: Pair) -> None:
    sandbox.set_knobs(dropAfterSeconds=0.2)
    engine = pair()
    engine.qr()
    engine.wait("LoginStatus", status="timeout")


@pytest.mark.parametrize("what", ["hmac", "signature"])
def test_a_tampered_pairing_is_refused(sandbox: SandboxClient, pair: Pair, number: str, what: str) -> None:
    sandbox.set_knobs(tamper=what)
    engine = pair()
    with pytest.raises(SandboxRefusedError, match=f"{what}-mismatch") as refused:
        sandbox.scan(engine.qr(), number)
    assert (refused.value.status, refused.value.code) == (409, "pairing_refused")
    engine.wait("LoginStatus", status="error")
    assert sandbox.devices(number) == []


def test_a_demanded_passkey_is_reported(sandbox: SandboxClient, pair: Pair, number: str) -> None:
    sandbox.set_knobs(passkey=True)
    engine = pair()
    with pytest.raises(SandboxRefusedError) as refused:
        sandbox.scan(engine.qr(), number)
    assert refused.value.code == "passkey_required"
    engine.wait("LoginStatus", status="passkey-request")


@pytest.mark.parametrize("picture", ["renewed", "before"])
def test_a_renewed_qr_pairs_and_the_one_before_fails(
    sandbox: SandboxClient, pair: Pair, number: str, picture: str
) -> None:
    sandbox.set_knobs(renewSecret=True, failTimes=1)
    engine = pair()
    before = engine.qr()
    with pytest.raises(SandboxRefusedError) as refused:
        sandbox.scan(before, number)
    assert refused.value.code == "scan_again"
    renewed = engine.qr()
    assert renewed.split(",")[:3] == before.split(",")[:3]
    assert renewed != before
    if picture == "renewed":
        sandbox.scan(renewed, number)
        engine.wait("Connected")
    else:
        with pytest.raises(SandboxRefusedError, match="hmac-mismatch"):
            sandbox.scan(before, number)
        engine.wait("LoginStatus", status="error")


def test_a_socket_dropped_after_the_scan_leaves_it_offline(sandbox: SandboxClient, pair: Pair, number: str) -> None:
    sandbox.set_knobs(dropAfterScan=True)
    engine = pair()
    sandbox.scan(engine.qr(), number)
    engine.wait("LoginStatus", status="success")
    assert "Connected" not in engine.names(seconds=1)
    assert [device["online"] for device in sandbox.devices(number)] == [False]


@pytest.mark.parametrize(
    ("reason", "event"),
    [
        (401, "LoggedOut"),
        (402, "TemporaryBan"),
        (403, "LoggedOut"),
        (405, "ClientOutdated"),
        (503, "Disconnected"),
    ],
)
def test_each_login_failure_is_reported_as_its_event(
    sandbox: SandboxClient, pair: Pair, number: str, reason: int, event: str
) -> None:
    sandbox.set_knobs(loginFailure=reason)
    engine = pair()
    sandbox.scan(engine.qr(), number)
    engine.wait(event)


def test_fail_times_limits_the_failures(sandbox: SandboxClient, pair: Pair, number: str) -> None:
    sandbox.set_knobs(loginFailure=503, failTimes=1)
    engine = pair()
    sandbox.scan(engine.qr(), number)
    engine.wait("Connected")  # the engine reconnects by itself
    assert sandbox.knobs()["failTimes"] == 0


def test_delayed_login_and_sync_still_come(sandbox: SandboxClient, pair: Pair, number: str) -> None:
    sandbox.set_knobs(loginDelaySeconds=0.5, syncDelaySeconds=0.5)
    engine = pair()
    sandbox.scan(engine.qr(), number)
    scanned = engine.wait("LoginStatus")["at"]
    connected = engine.wait("Connected")["at"]
    assert connected - scanned >= 0.5
    assert engine.wait("OfflineSyncCompleted")["at"] - connected >= 0.4


def test_a_replaced_stream_is_reported(sandbox: SandboxClient, pair: Pair, number: str) -> None:
    sandbox.set_knobs(replaceAfterSeconds=1)
    engine = pair()
    sandbox.scan(engine.qr(), number)
    engine.wait("StreamReplaced")


def test_fail_times_counts_a_failure_when_it_happens() -> None:
    board = KnobBoard()
    board.change({"silent": "tcp", "failTimes": 2})
    assert board.fail("silent", "handshake") is None
    assert board.fail("refuse") is None
    assert board.shown()["failTimes"] == 2
    assert [board.fail("silent", "tcp") for _ in range(3)] == ["tcp", "tcp", None]


def test_all_wrong_knobs_are_named() -> None:
    with pytest.raises(BadKnobError, match=r"refs.*nonsense"):
        KnobBoard().change({"refs": 0, "nonsense": 1})
