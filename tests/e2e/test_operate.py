"""What an operator gets to see of real pairings: each number once and plausible, and nothing that is secret."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.conftest import Postgres
from tests.emf import Metric, metrics_in, values
from tests.stack import Stack

NUMBER = "34600987654"
# Above what a busy machine takes, below what would be a wrong unit.
PLAUSIBLE_MS = 60_000
QR_DELAY_MS = 1500


class Secrets:
    """What no log may hold, collected while it is there to be seen."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self.found: dict[str, str] = {"phone number": NUMBER}

    def add_qr(self, text: str) -> None:
        """A QR's text and each of its parts: reference, keys, adv secret."""
        self.found["QR"] = text
        parts = text.partition("#")[2].split(",")
        self.found |= {f"part {number} of the QR": part for number, part in enumerate(parts) if len(part) > 8}

    def add_token(self, jwt: str) -> None:
        """An access token, as a whole and by its parts."""
        self.found |= {f"part {number} of the access token": part for number, part in enumerate(jwt.split("."))}

    def add_database(self, moment: str) -> None:
        """The present task token and whatever keys are stored."""
        with psycopg.connect(self._database_url) as connection:
            tokens = connection.execute("SELECT task_token FROM whatsapp_private.attempts").fetchall()
            keys = connection.execute(
                "SELECT noise_key, identity_key, signed_pre_key, adv_key FROM whatsapp_engine.whatsmeow_device"
            ).fetchall()
        self.found |= {f"task token {moment}": token for (token,) in tokens if token}
        for key in (key for row in keys for key in row):
            self.found[f"key {len(self.found)} in base64"] = base64.b64encode(key).decode()
            self.found[f"key {len(self.found)} in hex"] = key.hex()


@pytest.fixture
def database_url(postgres: Postgres) -> str:
    """A database of its own."""
    return postgres.url(postgres.create())


@pytest.fixture
def stack(database_url: str, tmp_path: Path) -> Iterator[Stack]:
    """A stack of its own: its logs hold what this test did and nothing else."""
    running = Stack(tmp_path, "--database-url", database_url)
    yield running
    if running.process.poll() is None:
        running.stop()


def logs(stack: Stack) -> dict[str, str]:
    """All logs of a run, by function."""
    return {path.stem: path.read_text(errors="replace") for path in (stack.data_dir / "logs").glob("*.log")}


def test_a_pairing_is_counted_once_and_nothing_secret_is_logged(stack: Stack, database_url: str) -> None:
    secrets = Secrets(database_url)
    user = stack.user()
    secrets.add_token(user.token)
    stack.sandbox.set_knobs(qrDelaySeconds=QR_DELAY_MS / 1000)  # so that the first wait lasts long enough to be seen
    attempt = user.connect().json()["attempt"]["id"]
    user.wait(10, "wait for the QR", lambda _: waits_in("qr", database_url))
    secrets.add_database("before the QR")
    qr = user.qr()
    secrets.add_qr(qr)
    for picture in ("text/plain", "image/svg+xml"):
        assert user.call("GET", "qr", Accept=picture).status == 200
    user.wait(10, "wait for the scan", lambda _: waits_in("auth", database_url))
    secrets.add_database("before the scan")
    assert user.scan(qr, NUMBER).status == 200
    assert user.reaches("connected")["phoneNumber"] == NUMBER
    secrets.add_database("when connected")
    assert user.disconnect().status == 200
    user.wait(20, "empty device list", lambda _: stack.devices(NUMBER) == [])
    assert stack.stop() == 0

    written = logs(stack)
    metrics = metrics_in("".join(written.values()))
    assert counts(metrics) == {
        "PairingStarted": 1, "TimeToQr": 1, "TimeToConnected": 1, "ScanToConnected": 1, "PairingEnded": 2,
        "LegsPerPairing": 1,
    }  # fmt: skip
    assert {(metric.namespace, metric.of("service")) for metric in metrics} == {("WhatsAppPairing", "local")}
    assert values(metrics, "PairingStarted") == [1]
    assert values(metrics, "PairingEnded") == values(metrics, "PairingEnded", outcome="connected") == [1]
    assert values(metrics, "LegsPerPairing") == [1]
    (to_qr,), (to_connected,) = values(metrics, "TimeToQr"), values(metrics, "TimeToConnected")
    (from_scan,) = values(metrics, "ScanToConnected")
    assert QR_DELAY_MS < to_qr < to_connected < PLAUSIBLE_MS
    assert 0 < from_scan < to_connected - to_qr
    assert {metric.name: metric.unit for metric in metrics if metric.unit != "Count"} == {
        "TimeToQr": "Milliseconds", "TimeToConnected": "Milliseconds", "ScanToConnected": "Milliseconds",
    }  # fmt: skip

    assert {"connect", "open_phase", "linker", "disconnect", "unlink", "authorizer"} <= set(written)
    # They are the logs that could have held it, and lead from the person to the attempt.
    (started,) = [line for line in written["connect"].splitlines() if "pairing started" in line]
    assert (user.id in started, attempt in started, attempt in written["linker"]) == (True, True, True)
    assert user.id in written["disconnect"]
    assert len({secret for name, secret in secrets.found.items() if name.startswith("task token")}) == 2
    assert len([name for name in secrets.found if name.startswith("key")]) == 8
    for name, secret in secrets.found.items():
        assert [function for function, log in written.items() if secret in log] == [], name


def waits_in(phase: str, database_url: str) -> bool:
    with psycopg.connect(database_url) as connection:
        waiting = "SELECT FROM whatsapp_private.attempts WHERE phase = %s AND task_token IS NOT NULL"
        return connection.execute(waiting, (phase,)).fetchone() is not None


def counts(metrics: list[Metric]) -> dict[str, int]:
    return {name: len([one for one in metrics if one.name == name]) for name in {metric.name for metric in metrics}}


def test_the_probe_runs_from_the_template_and_leaves_nothing(stack: Stack, database_url: str) -> None:
    assert stack.instances("probe") == []  # its schedule is off
    answer = stack.invoke("ProbeFunction")
    assert answer["failure"] is None
    stack.sandbox.set_knobs(connectFailure=405)
    assert stack.invoke("ProbeFunction")["failure"] == "client_outdated"

    until = time.monotonic() + 10
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
    assert "linked_devices" not in written
