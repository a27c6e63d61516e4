"""The runner uses another simulated WhatsApp: it gets that one's proxy, CA and root as options."""

from __future__ import annotations

from pathlib import Path

from infra.sandbox.process import SandboxProcess
from tests.support.postgres import Postgres
from tests.support.sandbox_client import SandboxClient
from tests.support.stack import RunningSystem, call


def test_the_engine_pairs_with_an_external_loopback(postgres: Postgres, tmp_path: Path) -> None:
    whatsapp = SandboxProcess.start(tmp_path / "whatsapp")
    try:
        ready = whatsapp.ready
        arguments = ["--whatsapp", "external", "--whatsapp-proxy", ready["proxy"]]
        arguments += ["--whatsapp-ca", ready["ca"], "--whatsapp-root", ready["root"]]
        stack = RunningSystem(tmp_path / "run", "--database-url", postgres.url(postgres.create()), *arguments)
        try:
            user = stack.user()
            user.connect()
            qr = user.qr()
            assert user.scan(qr, "34633000001").status == 404
            assert call("GET", f"{stack.url}/dev/config").json()["sandboxPhone"] is False
            SandboxClient(ready["control"]).scan(qr, "34633000001")
            assert user.reaches("connected")["phoneNumber"] == "34633000001"
        finally:
            assert stack.stop() == 0
    finally:
        whatsapp.stop()
