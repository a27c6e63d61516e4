"""GET /api/whatsapp/status and /qr: the session, its languages and forms, and 304 when nothing has changed."""

from __future__ import annotations

import base64
import io
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
import zxingcpp
from PIL import Image
from whatsapp_pairing.core.notices import Notice, instruction
from whatsapp_pairing.core.reasons import Reason, sentence

from tests.support.adv_secret import Secret
from tests.support.handlers import Call, body, end, refused, request, show


@pytest.mark.parametrize(("speaks", "language"), [("es-MX,es;q=0.9", "es"), ("de,en;q=0.5", "en"), ("", "en")])
def test_status_gives_the_reason_in_the_caller_s_language(
    call: Call, world: Any, user: UUID, speaks: str, language: str
) -> None:
    end(world, world.claim(user), Reason.PASSKEY_REQUIRED)
    answer = body(call("status", request("status", user, {"accept-language": speaks})))
    message = sentence(Reason.PASSKEY_REQUIRED, language)
    assert (answer["status"], answer["error"]) == ("error", {"code": "passkey_required", "message": message})


def test_status_that_has_not_changed_is_a_304(call: Call, world: Any, user: UUID) -> None:
    show(world, user, Secret())
    first = call("status", request("status", user))
    tag = first["headers"]["ETag"]

    again = call("status", request("status", user, {"if-none-match": f'"other", W/{tag}'}))

    assert again["statusCode"] == 304
    assert again["headers"]["ETag"] == tag
    assert datetime.fromisoformat(again["headers"]["Server-Time"]) > datetime.fromisoformat(
        first["headers"]["Server-Time"]
    )
    assert not again.get("body")
    assert call("status", request("status", user, {"if-none-match": '"other"'}))["statusCode"] == 200
    world.attempts.disconnect(user)
    assert call("status", request("status", user, {"if-none-match": tag}))["statusCode"] == 200


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("image/svg+xml", "image/svg+xml"), ("image/png", "image/png"), ("text/plain", "text/plain"),
        ("*/*", "image/svg+xml"), ("", "image/svg+xml"), ("application/json", "image/svg+xml"),
        ("image/avif,image/webp,image/png,*/*;q=0.8", "image/png"), ("TEXT/PLAIN; q=0.5", "text/plain"),
        ("application/json, text/plain, */*", "image/svg+xml"), ("image/svg+xml;q=0, */*;q=0.1", "image/png"),
    ],
)  # fmt: skip
def test_the_qr_comes_as_the_caller_accepts(call: Call, world: Any, user: UUID, accept: str, media: str) -> None:
    show(world, user, Secret())
    response = call("qr", request("qr", user, {"accept": accept}))
    assert response["statusCode"] == 200
    assert response["headers"]["Content-Type"].split(";")[0] == media
    assert response["headers"]["Cache-Control"] == "no-store"
    assert response["isBase64Encoded"] is (media == "image/png")


def test_a_406_names_the_types_on_offer(call: Call, world: Any, user: UUID) -> None:
    show(world, user, Secret())
    said = refused(call("qr", request("qr", user, {"accept": "*/*;q=0"})), 406, "not_acceptable")
    assert "image/svg+xml, image/png and text/plain" in said["message"]


def test_the_png_reads_back(call: Call, world: Any, user: UUID) -> None:
    secret = Secret()
    show(world, user, secret)
    response = call("qr", request("qr", user, {"accept": "image/png"}))
    picture = Image.open(io.BytesIO(base64.b64decode(response["body"]))).convert("L")
    (found,) = zxingcpp.read_barcodes(picture)
    assert found.text == secret.text()


def test_the_qr_as_text_says_its_encoding(call: Call, world: Any, user: UUID) -> None:
    show(world, user, Secret())
    response = call("qr", request("qr", user, {"accept": "text/plain"}))
    assert "█" in response["body"]
    assert response["headers"]["Content-Type"] == "text/plain; charset=utf-8"


def test_status_of_a_new_user_is_disconnected(call: Call, user: UUID) -> None:
    answer = body(call("status", request("status", user)))
    assert answer == {
        "success": True, "status": "disconnected", "connected": False, "qr": None, "qrExpiresAt": None,
        "attempt": None, "phoneNumber": None, "connectedAt": None, "lastSeen": None, "messagesSent": 0,
        "messagesReceived": 0, "error": None, "notice": None, "pollAfterMs": 15000,
    }  # fmt: skip


def test_status_shows_the_qr_and_its_end(call: Call, world: Any, user: UUID) -> None:
    secret = Secret()
    attempt_id = show(world, user, secret)
    answer = body(call("status", request("status", user)))
    assert (answer["status"], answer["qr"], answer["pollAfterMs"]) == ("waiting_qr", secret.text(), 1000)
    assert answer["attempt"]["id"] == str(attempt_id)
    assert answer["qrExpiresAt"] is not None
    assert answer["attempt"]["deadline"] > answer["attempt"]["startedAt"]


def test_status_has_the_notice_for_the_person(call: Call, world: Any, user: UUID) -> None:
    show(world, user, Secret())
    etag = call("status", request("status", user, {"accept-language": "es"}))["headers"]["ETag"]
    world.sql("UPDATE whatsapp_private.attempts SET notice = 'scan_again' WHERE user_id = %s", user)
    response = call("status", request("status", user, {"accept-language": "es", "if-none-match": etag}))
    assert response["statusCode"] == 200
    assert body(response)["notice"] == {"code": "scan_again", "message": instruction(Notice.SCAN_AGAIN, "es")}


def test_a_session_without_a_qr_is_a_404(call: Call, world: Any, user: UUID) -> None:
    refused(call("qr", request("qr", user)), 404, "no_qr")
    world.claim(user)
    refused(call("qr", request("qr", user)), 404, "no_qr")
