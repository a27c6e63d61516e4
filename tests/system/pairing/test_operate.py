"""What an operator sees of real pairings: each metric once and plausible, and the logs of a person."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.metrics import Metric, metrics_in, values
from tests.support.postgres import Postgres
from tests.support.secret_search import Secrets, logs
from tests.support.stack import PATIENCE_SECONDS, RunningSystem

NUMBER = "34600987654"
# Above the values of a busy machine, and below values in a wrong unit.
PLAUSIBLE_MS = 600_000
QR_DELAY_MS = 5000


@pytest.fixture
def database_url(postgres: Postgres) -> str:
    """A database of its own."""
    return postgres.url(postgres.create())


@pytest.fixture
def stack(database_url: str, tmp_path: Path) -> Iterator[RunningSystem]:
    """A system of this test, so that its logs have nothing of other tests."""
    running = RunningSystem(tmp_path, "--database-url", database_url)
    yield running
    if running.process.poll() is None:
        running.stop()


def test_a_pairing_is_counted_once_and_its_logs_can_be_found(stack: RunningSystem, database_url: str) -> None:
    user = stack.user()
    stack.sandbox.set_knobs(qrDelaySeconds=QR_DELAY_MS / 1000)  # so that the first wait lasts for some time
    attempt = user.connect().json()["attempt"]["id"]
    user.wait(PATIENCE_SECONDS, "wait for the QR", lambda _: waits_in("qr", database_url))
    qr = user.qr()
    for picture in ("text/plain", "image/svg+xml"):
        assert user.call("GET", "qr", Accept=picture).status == 200
    user.wait(PATIENCE_SECONDS, "wait for the scan", lambda _: waits_in("auth", database_url))
    assert user.scan(qr, NUMBER).status == 200
    assert user.reaches("connected")["phoneNumber"] == NUMBER
    assert user.disconnect().status == 200
    user.wait(PATIENCE_SECONDS, "empty device list", lambda _: stack.devices(NUMBER) == [])
    assert stack.stop() == 0

    written = logs(stack)
    metrics = metrics_in("".join(written.values()))
    assert counts(metrics) == {
        "PairingStarted": 1, "TimeToQr": 1, "TimeToConnected": 1, "ScanToConnected": 1, "PairingEnded": 2,
        "LinkersPerPairing": 1,
    }  # fmt: skip
    assert {(metric.namespace, metric.of("service")) for metric in metrics} == {("WhatsAppPairing", "local")}
    assert values(metrics, "PairingStarted") == [1]
    assert values(metrics, "PairingEnded") == values(metrics, "PairingEnded", outcome="connected") == [1]
    assert values(metrics, "LinkersPerPairing") == [1]
    (to_qr,), (to_connected,) = values(metrics, "TimeToQr"), values(metrics, "TimeToConnected")
    (from_scan,) = values(metrics, "ScanToConnected")
    assert QR_DELAY_MS < to_qr < to_connected < PLAUSIBLE_MS
    assert 0 < from_scan < to_connected - to_qr
    assert {metric.name: metric.unit for metric in metrics if metric.unit != "Count"} == {
        "TimeToQr": "Milliseconds", "TimeToConnected": "Milliseconds", "ScanToConnected": "Milliseconds",
    }  # fmt: skip

    assert {"connect", "open_phase", "linker", "disconnect", "unlink", "authorizer"} <= set(written)
    (started,) = [line for line in written["connect"].splitlines() if "pairing started" in line]
    assert (user.id in started, attempt in started, attempt in written["linker"]) == (True, True, True)
    assert user.id in written["disconnect"]


def waits_in(phase: str, database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        waiting = "SELECT FROM whatsapp_private.attempts WHERE phase = %s AND task_token IS NOT NULL"
        return connection.execute(waiting, (phase,)).fetchone() is not None


def counts(metrics: list[Metric]) -> dict[str, int]:
    """How often each metric of a pairing was written. The metrics of cleanup are left out."""
    names = {metric.name for metric in metrics} - {"CleanupLeft"}
    return {name: len([one for one in metrics if one.name == name]) for name in names}


def test_the_probe_runs_from_the_template_and_leaves_nothing(stack: RunningSystem, database_url: str) -> None:
    assert stack.instances("probe") == []  # its schedule is switched off
    answer = stack.invoke("ProbeFunction")
    assert answer["failure"] is None
    stack.sandbox.set_knobs(connectFailure=405)
    assert stack.invoke("ProbeFunction")["failure"] == "client_outdated"

    until = time.monotonic() + PATIENCE_SECONDS
    while stack.sandbox.state()["sockets"] and time.monotonic() < until:
        time.sleep(0.05)
    state = stack.sandbox.state()
    assert (state["sockets"], state["devices"]) == ([], 0)
    with psycopg.connect(database_url) as connection:
        for table in ("whatsapp_private.attempts", "whatsapp_private.devices", "whatsapp_engine.whatsmeow_device"):
            assert connection.execute(f"SELECT FROM {table}").fetchone() is None
    assert stack.stop() == 0
    written = logs(stack)["probe"]
    metrics = metrics_in(written)
    assert (values(metrics, "ProbeQr"), values(metrics, "ProbeFailed", reason="client_outdated")) == ([1, 0], [1])
    assert Secrets().found_in(written) == set()
