"""The real engine pairs, logs in, and is unlinked."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from infra.sandbox.process import SandboxProcess
from tests.support.sandbox_client import SandboxClient, SandboxRefusedError

Pair = Callable[[], Any]


def online(engine: Any, sandbox: SandboxClient, number: str) -> str:
    """Scan the engine's QR and wait until it is connected."""
    jid = str(sandbox.scan(engine.qr(), number)["jid"])
    engine.wait("LoginStatus", status="success")
    engine.wait("Connected")
    return jid


def refusal(sandbox: SandboxClient, qr: str, number: str) -> str:
    with pytest.raises(SandboxRefusedError) as refused:
        sandbox.scan(qr, number)
    return refused.value.code


def test_an_engine_pairs_and_comes_online(sandbox: SandboxClient, pair: Pair, number: str) -> None:
    engine = pair()
    jid = online(engine, sandbox, f"+{number}")
    assert jid == f"{number}:1@s.whatsapp.net"
    (device,) = sandbox.devices(number)
    assert (device["jid"], device["platform"], device["online"]) == (jid, "Neonize", True)
    sockets = sandbox.state()["sockets"]
    (socket,) = (socket for socket in sockets if socket.get("jid") == jid)
    assert socket["state"] == "online"
    assert re.fullmatch(r"2\.\d+\.\d+", socket["version"])  # of WhatsApp Web
    assert {"PairStatus", "OfflineSyncCompleted"} <= set(engine.names())


def test_a_paired_device_outlives_the_sandbox(tmp_path: Path, start: Callable[..., Any]) -> None:
    number = "34600111222"
    first = SandboxProcess.start(tmp_path / "sandbox")
    engine = start(first, "pair")
    online(engine, SandboxClient(first.ready["control"]), number)
    engine.kill()
    assert first.stop() == 0

    second = SandboxProcess.start(tmp_path / "sandbox")
    try:
        sandbox = SandboxClient(second.ready["control"])
        assert second.ready["root"] == first.ready["root"]
        assert [device["online"] for device in sandbox.devices(number)] == [False]
        engine = start(second, "resume", number, "1")
        engine.wait("Connected")
        engine.command("logout")
        engine.wait("done")
        assert sandbox.devices(number) == []
        assert "qr" not in engine.names()
    finally:
        second.stop()


def test_an_engine_reports_that_the_phone_unlinked_it(
    process: SandboxProcess, sandbox: SandboxClient, start: Callable[..., Any], number: str
) -> None:
    engine = start(process, "pair")
    online(engine, sandbox, number)
    assert sandbox.unlink(number) == 1
    engine.wait("LoggedOut")
    assert sandbox.devices(number) == []
    assert sandbox.unlink(number) == 0


def test_an_engine_reports_an_unlink_while_it_was_away(
    process: SandboxProcess, sandbox: SandboxClient, start: Callable[..., Any], number: str
) -> None:
    engine = start(process, "pair")
    online(engine, sandbox, number)
    engine.kill()
    sandbox.unlink(number)
    start(process, "resume", number, "1").wait("LoggedOut")


def test_a_second_connection_of_a_device_replaces_the_first(
    process: SandboxProcess, sandbox: SandboxClient, start: Callable[..., Any], number: str
) -> None:
    first = start(process, "pair")
    online(first, sandbox, number)
    second = start(process, "resume", number, "1")
    second.wait("Connected")
    first.wait("StreamReplaced")
    assert [device["online"] for device in sandbox.devices(number)] == [True]


def test_the_fifth_device_is_refused(sandbox: SandboxClient, pair: Pair, number: str) -> None:
    for _ in range(4):
        engine = pair()
        sandbox.scan(engine.qr(), number)
        engine.wait("Connected")
        engine.kill()
    qr = pair().qr()
    assert refusal(sandbox, qr, number) == "too_many_devices"
    assert len(sandbox.devices(number)) == 4
    # the client did not notice, so another phone can still scan the same QR
    sandbox.scan(qr, number + "9")


def test_a_qr_pairs_once(sandbox: SandboxClient, pair: Pair, number: str) -> None:
    qr = pair().qr()

    def scan(_: int) -> str:
        try:
            return str(sandbox.scan(qr, number)["jid"])
        except SandboxRefusedError as error:
            return error.code

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(scan, range(3))) == [f"{number}:1@s.whatsapp.net", "unknown_qr", "unknown_qr"]


def test_the_qr_of_an_ended_client_cannot_be_scanned(sandbox: SandboxClient, pair: Pair, number: str) -> None:
    engine = pair()
    qr = engine.qr()
    engine.kill()
    assert refusal(sandbox, qr, number) in ("unknown_qr", "socket_closed")


@pytest.mark.slow
def test_an_engine_reports_that_its_qrs_have_run_out(sandbox: SandboxClient, pair: Pair, number: str) -> None:
    sandbox.set_knobs(refs=1)
    engine = pair()
    qr = engine.qr()
    engine.wait("LoginStatus", seconds=25, status="timeout")
    assert refusal(sandbox, qr, number) in ("unknown_qr", "socket_closed")
