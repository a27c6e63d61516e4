"""WhatsApp does not accept a scan. The person is asked for another scan, and that one connects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from whatsapp_pairing.pairing.attempt import MOST_REFUSALS

from tests.support.stack import PATIENCE_SECONDS, RunningSystem, User


@pytest.fixture(autouse=True)
def behaving_again(stack: RunningSystem) -> Iterator[None]:
    """Reset the knobs of the simulated WhatsApp after the test."""
    yield
    stack.sandbox.reset_knobs()


@pytest.fixture
def user(stack: RunningSystem) -> User:
    """A user after the click."""
    user = stack.user()
    assert user.connect().status == 202
    return user


def asked(user: User, code: str, other_than: str) -> dict[str, Any]:
    """Wait until the session has this notice and another QR, and return the session."""
    return user.wait(
        PATIENCE_SECONDS,
        f"{code} with a QR",
        lambda status: (status["notice"] or {}).get("code") == code and status["qr"] not in (None, other_than),
    )


def connects(user: User, qr: str, number: str) -> None:
    """Scan, and check that one device is linked and the notice is gone."""
    assert user.scan(qr, number).status == 200
    session = user.reaches("connected")
    assert (session["phoneNumber"], session["notice"], session["error"]) == (number, None, None)
    assert len(user.stack.devices(number)) == 1


def renewed(user: User, number: str) -> tuple[str, dict[str, Any]]:
    """Scan a QR that WhatsApp then renews. Return that QR, and the session with the renewed QR."""
    user.stack.sandbox.set_knobs(renewSecret=True, failTimes=1)
    before = user.qr()
    assert user.scan(before, number).json()["error"] == "scan_again"
    return before, asked(user, "scan_again", before)


def test_a_renewed_qr_keeps_its_time_and_connects(user: User) -> None:
    number = "34621000001"
    expires_at = user.wait(PATIENCE_SECONDS, "QR", lambda status: status["qr"])["qrExpiresAt"]
    before, session = renewed(user, number)
    assert session["status"] == "waiting_qr"
    assert session["qr"].split(",")[:3] == before.split(",")[:3]
    # If this were the next QR, and not the renewed one, it would expire half a minute earlier.
    moved = datetime.fromisoformat(session["qrExpiresAt"]) - datetime.fromisoformat(expires_at)
    assert abs(moved) < timedelta(seconds=20)
    assert session["notice"]["message"].startswith("WhatsApp asks for one more scan.")
    etag = user.call("GET", "status").headers["ETag"]
    spanish = user.call("GET", "status", Accept_Language="es", If_None_Match=etag)
    assert spanish.status == 200
    assert spanish.json()["notice"]["message"].startswith("WhatsApp pide un escaneo más.")
    connects(user, session["qr"], number)


def test_an_unscanned_renewed_qr_ends_with_its_own_reason(user: User) -> None:
    renewed(user, "34621000002")
    user.let_window_end("phase = 'auth'")
    session = user.reaches("error")
    assert session["error"]["code"] == "scan_not_repeated"
    assert session["error"]["message"].startswith("One more scan was needed")
    assert session["notice"] is None


def test_the_picture_before_the_renewal_gives_a_new_qr(user: User) -> None:
    number = "34621000003"
    before, session = renewed(user, number)
    assert user.scan(before, number).json()["error"] == "pairing_refused"
    after = asked(user, "new_qr", session["qr"])
    assert after["notice"]["message"].startswith("The scan did not work.")
    connects(user, after["qr"], number)


@pytest.mark.parametrize(("tampered", "number"), [("hmac", "34621000004"), ("signature", "34621000005")])
def test_three_refusals_still_connect(user: User, tampered: str, number: str) -> None:
    user.stack.sandbox.set_knobs(tamper=tampered, failTimes=MOST_REFUSALS)
    refused = user.scan_each(number, MOST_REFUSALS)
    connects(user, asked(user, "new_qr", refused)["qr"], number)


def test_four_refusals_end_the_attempt(user: User) -> None:
    user.stack.sandbox.set_knobs(tamper="hmac")
    user.scan_each("34621000006", MOST_REFUSALS + 1)
    session = user.reaches("error")
    assert (session["error"]["code"], session["notice"]) == ("pairing_rejected", None)


def test_a_login_refused_with_401_gives_a_new_qr(user: User) -> None:
    number = "34621000007"
    user.stack.sandbox.set_knobs(loginFailure=401, failTimes=1)
    qr = user.qr()
    assert user.scan(qr, number).status == 200
    session = asked(user, "new_qr", qr)
    assert session["status"] == "waiting_qr"
    connects(user, session["qr"], number)
