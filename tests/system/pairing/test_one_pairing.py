"""Whole pairings over HTTP alone, with the real engine against the simulated WhatsApp."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import zxingcpp
from PIL import Image

from tests.support.postgres import Postgres
from tests.support.stack import PATIENCE_SECONDS, RunningSystem, User, call
from tests.system.pairing.steps import connected, keys_in


def test_a_user_pairs_and_disconnects_across_a_restart(postgres: Postgres, tmp_path: Path) -> None:
    database_url = postgres.url(postgres.create())
    number = "34600000001"
    stack = RunningSystem(tmp_path, "--database-url", database_url)
    user = stack.user()
    answer = user.connect()
    assert answer.status == 202
    assert answer.json()["status"] == "connecting"
    qr = user.qr()
    png = user.call("GET", "qr", Accept="image/png")
    assert [code.text for code in zxingcpp.read_barcodes(Image.open(io.BytesIO(png.body)))] == [qr]
    assert user.scan(qr, f"+{number}").status == 200
    session = user.reaches("connected")
    assert session["phoneNumber"] == number
    assert session["connected"] is True
    assert session["qr"] is None
    assert session["attempt"] is None
    assert len(stack.devices(number)) == 1
    assert stack.stop() == 0

    stack = RunningSystem(tmp_path, "--database-url", database_url)
    user = stack.user(user.id)
    assert user.status()["phoneNumber"] == number
    assert keys_in(database_url)["whatsapp_engine.whatsmeow_device"] == 1
    assert user.connect().status == 200
    assert user.disconnect().json() == {"success": True, "status": "disconnected"}
    user.wait(PATIENCE_SECONDS, "empty device list", lambda _: stack.devices(number) == [])
    user.wait(PATIENCE_SECONDS, "empty key store", lambda _: keys_in(database_url) == {})
    assert user.disconnect().json()["status"] == "already_disconnected"
    assert user.status()["phoneNumber"] is None
    assert stack.stop() == 0


def test_a_cancelled_pairing_leaves_nothing_for_the_next_one(stack: RunningSystem) -> None:
    user = stack.user()
    user.connect()
    user.qr()
    assert user.disconnect().json()["status"] == "disconnected"
    session = user.status()
    assert session["status"] == "disconnected"
    assert session["error"]["code"] == "cancelled"
    assert session["qr"] is None
    assert user.call("GET", "qr").status == 404
    started(stack, user, "+ interval '1 minute'")  # so that the pause of 5 s is not over on a slow machine
    early = user.connect()
    assert early.status == 429
    assert 1 <= int(early.headers["Retry-After"]) <= 65
    assert early.json()["error"] == "too_soon"
    started(stack, user, "- interval '1 minute'")
    user.wait(PATIENCE_SECONDS, "free linker", lambda _: not busy(stack))
    user.wait(PATIENCE_SECONDS, "second attempt", lambda _: user.connect().status in (200, 202))
    user.scan(user.qr(), "34600000002")
    assert user.reaches("connected")["phoneNumber"] == "34600000002"


def test_a_dead_linker_is_replaced_within_the_same_attempt(stack: RunningSystem) -> None:
    user = stack.user()
    attempt = user.connect().json()["attempt"]["id"]
    first = user.qr()
    user.wait(PATIENCE_SECONDS, "one linker", lambda _: len(busy(stack)) == 1)
    (linker,) = busy(stack)
    kill(linker["pid"])
    second = user.qr(other_than=first)
    assert user.status()["attempt"]["id"] == attempt
    assert user.scan(second, "34600000003").status == 200
    user.reaches("connected")


def test_two_users_do_not_see_each_other(stack: RunningSystem) -> None:
    one, other = stack.user(), stack.user()
    connected(one, "34600000004")
    assert other.status()["status"] == "disconnected"
    assert other.status()["phoneNumber"] is None


def test_every_call_without_a_valid_token_is_refused(stack: RunningSystem) -> None:
    for path, method in (("status", "GET"), ("qr", "GET"), ("connect", "POST"), ("disconnect", "POST")):
        url = f"{stack.url}/api/whatsapp/{path}"
        assert call(method, url).status == 401
        forged = call(method, url, headers={"Authorization": "Bearer not.a.token"})
        assert forged.status == 401
        assert forged.json()["error"] == "unauthorized"


def test_an_unchanged_status_is_not_sent_again(stack: RunningSystem) -> None:
    user = stack.user()
    etag = user.call("GET", "status").headers["ETag"]
    assert user.call("GET", "status", If_None_Match=etag).status == 304
    user.connect()
    assert user.call("GET", "status", If_None_Match=etag).status == 200
    user.disconnect()


def started(stack: RunningSystem, user: User, shift: str) -> None:
    """Move the start of the user's attempts by this interval."""
    stack.sql(f"UPDATE whatsapp_private.attempts SET started_at = now() {shift} WHERE user_id = %s", user.id)


def busy(stack: RunningSystem) -> list[dict[str, Any]]:
    """The busy linkers."""
    return [one for one in stack.instances("linker") if one["busySince"]]


def kill(pid: int) -> None:
    """Kill one process."""
    import os
    import signal

    os.kill(pid, signal.SIGKILL)
