"""Each failure of WhatsApp or the person ends the pairing with its reason, and the next click works."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.secret_search import logs
from tests.support.stack import PATIENCE_SECONDS, RunningSystem


@pytest.fixture(autouse=True)
def behaving_again(stack: RunningSystem) -> Iterator[None]:
    """Reset the knobs of the simulated WhatsApp after the test."""
    yield
    stack.sandbox.reset_knobs()


@pytest.mark.parametrize(
    ("knobs", "when", "reason"),
    [
        ({"silent": "tcp"}, "legs > 0 AND reachable", "qr_timeout"),
        ({"silent": "handshake"}, "legs > 0 AND reachable", "qr_timeout"),
        ({"refuse": True}, "NOT reachable", "whatsapp_unreachable"),
        ({"connectFailure": 503}, "NOT reachable", "whatsapp_unreachable"),
    ],
)
def test_each_cause_of_a_missing_qr_ends_with_its_reason(
    stack: RunningSystem, knobs: dict[str, object], when: str, reason: str
) -> None:
    stack.sandbox.set_knobs(**knobs)
    user = stack.user()
    assert user.connect().status == 202
    user.let_window_end(when)
    session = user.reaches("error")
    assert session["error"]["code"] == reason
    assert session["qr"] is None
    assert session["attempt"]["number"] == 1


def test_a_broken_engine_database_is_not_blamed_on_whatsapp(stack: RunningSystem) -> None:
    user = stack.user()
    stack.sql("ALTER TABLE whatsapp_engine.whatsmeow_version RENAME TO gone")
    try:
        user.connect()
        assert user.reaches("error")["error"]["code"] == "linker_failed"
        told = "SELECT legs, reachable, verdict, deadline > ended_at FROM whatsapp_private.attempts WHERE user_id = %s"
        assert stack.sql(told, user.id) == [(1, True, "linker_failed", True)]
    finally:
        stack.sql("ALTER TABLE whatsapp_engine.gone RENAME TO whatsmeow_version")
    assert "EngineStoreFailed" in logs(stack)["linker"]


def test_an_outdated_client_ends_without_waiting_for_the_window(stack: RunningSystem) -> None:
    stack.sandbox.set_knobs(connectFailure=405)
    user = stack.user()
    user.connect()
    assert user.reaches("error")["error"]["code"] == "client_outdated"


@pytest.mark.parametrize(
    ("knobs", "reason", "scan"),
    [
        ({"passkey": True}, "passkey_required", 409),
        ({"loginFailure": 402}, "account_banned", 200),
        ({"loginFailure": 403}, "account_banned", 200),
        ({"loginFailure": 405}, "client_outdated", 200),
    ],
)
def test_each_refused_login_ends_with_its_reason(
    stack: RunningSystem, knobs: dict[str, object], reason: str, scan: int
) -> None:
    user = stack.user()
    user.connect()
    qr = user.qr()
    stack.sandbox.set_knobs(**knobs)
    assert user.scan(qr, "34611000001").status == scan
    assert user.reaches("error")["error"]["code"] == reason


def test_a_click_after_a_scan_timeout_connects(stack: RunningSystem) -> None:
    user = stack.user()
    user.connect()
    user.qr()
    user.let_window_end("phase = 'auth'")
    session = user.reaches("error")
    assert session["error"]["code"] == "scan_timeout"
    assert "scanned in time" in session["error"]["message"]
    spanish = user.call("GET", "status", Accept_Language="es-ES,es;q=0.9").json()
    assert "no se escaneó" in spanish["error"]["message"]
    user.wait(PATIENCE_SECONDS, "second attempt", lambda _: user.connect().status in (200, 202))  # a pause of 5 s
    user.scan(user.qr(), "34611000002")
    assert user.reaches("connected")["error"] is None


def test_a_qr_that_comes_late_still_pairs(stack: RunningSystem) -> None:
    stack.sandbox.set_knobs(qrDelaySeconds=3)
    user = stack.user()
    user.connect()
    user.scan(user.qr(), "34611000003")
    user.reaches("connected")


def test_a_scan_whose_socket_breaks_is_finished_by_a_new_engine(stack: RunningSystem) -> None:
    stack.sandbox.set_knobs(dropAfterScan=True, failTimes=1)
    user = stack.user()
    user.connect()
    user.scan(user.qr(), "34611000004")
    user.reaches("connected")
    assert len(stack.devices("34611000004")) == 1


def test_a_device_of_a_blocked_account_is_forgotten_at_once(stack: RunningSystem) -> None:
    user = stack.user()
    user.connect()
    user.scan(user.qr(), "34611000005")
    user.reaches("connected")
    before = unlinked(stack)
    stack.sandbox.set_knobs(loginFailure=403)
    user.disconnect()
    user.wait(PATIENCE_SECONDS, "an unlink", lambda _: unlinked(stack) > before)


def unlinked(stack: RunningSystem) -> int:
    """How many devices the unlink function has removed."""
    return sum(log.read_text().count('"device unlinked"') for log in (stack.data_dir / "logs").glob("unlink*.log"))
