"""Steps and checks that several test modules share."""

from __future__ import annotations

import io
import re
import threading

import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from tests.system.browser.conftest import polls, until
from tests.system.browser.fakes import TOKEN, Site, Supabase, auth_error
from tests.system.browser.parts import EVERY_ELEMENT, qr_frame, qr_picture
from tests.system.browser.server import Answer

QR = "https://wa.me/settings/linked_devices#2@aFirstRef/0123456789abcdef,Zm9v,YmFy,YmF6,1"
REFRESH = TOKEN + "?grant_type=refresh_token"
KEPT = "JSON.parse(sessionStorage.getItem('whatsapp-pairing.tokens'))"

LATE = {
    "tokens": Answer(200, {"access_token": "access-of-a", "refresh_token": "refresh-of-a", "expires_in": 3600}),
    "refusal": auth_error(400, "refresh_token_not_found"),
    "trouble": Answer(502, b"<html>"),
    "lost": Answer(200, lost=True),
}


def on_screen(page: Page) -> list[str]:
    """The texts of the QR codes that a camera in front of the screen would read."""
    picture = Image.open(io.BytesIO(qr_frame(page).screenshot())).convert("L")
    return [code.text for code in zxingcpp.read_barcodes(picture)]


def expect_qr(page: Page, text: str) -> None:
    """Check that the page shows this QR and that a camera could read it."""
    expect(qr_picture(page)).to_be_visible()
    expect(qr_frame(page)).not_to_have_class(re.compile("stale"))
    qr_picture(page).evaluate("(image) => image.decode()")
    assert on_screen(page) == [text]


def sign_in(page: Page, password: str = "correct horse") -> None:
    """Fill in the sign-in form and send it."""
    page.get_by_label("E-mail").fill("ana@example.com")
    page.get_by_label("Password").fill(password)
    page.get_by_label("Password").press("Enter")


def sign_in_a(page: Page, button: str) -> None:
    """Let A sign in, and wait for their panel."""
    sign_in(page)
    expect(page.get_by_role("button", name=button)).to_be_visible()


def hand_over(page: Page, site: Site) -> None:
    """Let A sign out. Then let B sign in, whose phone has another number."""
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    site.connect(phoneNumber="34699999999")
    sign_in(page)
    expect(page.get_by_role("heading", name="+34 699 999 999")).to_be_visible()


def expect_b(page: Page, site: Site, seen: int) -> None:
    """Check that B is signed in, and that no request since `seen` used A's tokens."""
    polls(page, site, 3)
    expect(page.get_by_role("heading", name="+34 699 999 999")).to_be_visible()
    assert page.evaluate(KEPT)["access"] == "access-2"
    used = {one.headers["authorization"] for one in site.requests[seen:] if one.path.startswith("/api/")}
    assert used == {"Bearer access-2"}


def late(answer: Answer, held: threading.Event) -> Answer:
    """The answer, held until the event."""
    return Answer(answer.status, answer.body, answer.headers, held=held, lost=answer.lost)


def hold_renewal(page: Page, site: Site, supabase: Supabase, answer: Answer) -> threading.Event:
    """Let A sign in, and hold the answer to the renewal of A's tokens until the event is set."""
    sign_in_a(page, "Disconnect")
    held = threading.Event()
    supabase.next(TOKEN, late(answer, held))
    site.tokens.clear()
    until(page, lambda: supabase.count(REFRESH))
    return held


def assert_only_marks(page: Page) -> None:
    """Check that the browser's profile has only random ids of ended sign-ins, and the times of their ends."""
    for name, value in page.evaluate("Object.entries(localStorage)"):
        assert re.fullmatch(r"whatsapp-pairing\.ended\.[a-z0-9]{1,28}", name)
        assert re.fullmatch(r"[0-9]{13}", value)


def everything_in(page: Page) -> str:
    """Every text, attribute and value of the document, visible or not."""
    text: str = page.evaluate(f"""() => ({EVERY_ELEMENT})(document.body).flatMap((e) => [
      ...[...e.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data),
      ...[...e.attributes].map((attribute) => attribute.value), e.value ?? "",
    ]).join("\\n")""")
    return text
