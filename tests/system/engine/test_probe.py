"""The probe with the real engine gets a QR or a reason, needs no database, and leaves nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.probe import probe

from infra.sandbox.process import SandboxProcess
from tests.support.sandbox_client import SandboxClient

GONE_SECONDS = 10.0


@pytest.fixture(autouse=True)
def whatsapp(
    process: SandboxProcess, sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    """Engines of this process reach the sandbox. They must leave nothing there and no file."""
    monkeypatch.chdir(tmp_path)
    environment = process.engine_environment()
    monkeypatch.syspath_prepend(environment.pop("PYTHONPATH"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    before = sandbox.state()["devices"]
    yield
    until = time.monotonic() + GONE_SECONDS
    while sandbox.state()["sockets"] and time.monotonic() < until:
        time.sleep(0.05)
    assert sandbox.state()["sockets"] == []
    assert sandbox.state()["devices"] == before
    assert list(tmp_path.iterdir()) == []


def test_a_probe_gets_its_qr(sandbox: SandboxClient) -> None:
    before = sandbox.state()["connections"]
    probed = probe(ProcessEngine())
    assert probed.failure is None
    assert sandbox.state()["connections"] == before + 1


@pytest.mark.parametrize(
    ("knobs", "reason"),
    [
        ({"connectFailure": 405}, Reason.CLIENT_OUTDATED),
        ({"connectFailure": 503}, Reason.WHATSAPP_UNREACHABLE),
        ({"refuse": True}, Reason.WHATSAPP_UNREACHABLE),
    ],
)
def test_a_refused_probe_reports_the_reason(sandbox: SandboxClient, knobs: dict[str, object], reason: Reason) -> None:
    sandbox.set_knobs(**knobs)
    assert probe(ProcessEngine()).failure is reason


@pytest.mark.parametrize("after", ["tcp", "upgrade", "handshake"])
def test_a_probe_of_a_silent_whatsapp_ends_at_its_own_limit(sandbox: SandboxClient, after: str) -> None:
    sandbox.set_knobs(silent=after)
    probed = probe(ProcessEngine(), limit_seconds=3.0)
    assert probed.failure is Reason.QR_TIMEOUT
    assert 3.0 <= probed.seconds < 20.0
