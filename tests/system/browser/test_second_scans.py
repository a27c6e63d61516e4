"""The page tells the person when WhatsApp asks for one more scan or refuses one."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from whatsapp_pairing.core.notices import Notice, instruction

from tests.system.browser.conftest import OpenPage, polls
from tests.system.browser.fakes import Json, Site, Supabase, attempt, disconnected, state
from tests.system.browser.parts import qr_picture
from tests.system.browser.steps import QR, everything_in, expect_qr, sign_in

RENEWED = QR.replace(",YmF6,", ",cXV4,")


def notice(code: Notice, language: str = "en") -> Json:
    """A notice as the API writes it."""
    return {"code": code, "message": instruction(code, language)}


def expect_above_the_qr(page: Page, text: str) -> None:
    """Check that this text stands completely above the QR."""
    asked = page.get_by_role("alert")
    expect(asked).to_have_text(text)
    expect(qr_picture(page)).to_be_visible()
    words, picture = asked.bounding_box(), qr_picture(page).bounding_box()
    assert words
    assert picture
    assert words["y"] + words["height"] <= picture["y"]


@pytest.mark.parametrize("code", Notice)
@pytest.mark.parametrize("locale", ["en-GB", "es-ES"])
def test_a_notice_stands_above_the_qr(site: Site, open_page: OpenPage, code: Notice, locale: str) -> None:
    site.waiting(QR)
    page = open_page(site.url, locale=locale)
    expect_qr(page, QR)
    expect(page.get_by_role("alert")).to_have_count(0)
    told = notice(code, locale[:2])
    site.waiting(RENEWED, notice=told)
    expect_above_the_qr(page, told["message"])
    expect_qr(page, RENEWED)
    site.finishing()
    expect(page.get_by_role("heading", name=re.compile("Scanned|Escaneado"))).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_notice_shows_while_the_page_waits_for_the_new_qr(site: Site, open_page: OpenPage) -> None:
    told = notice(Notice.NEW_QR)
    site.status = state("connecting", attempt=attempt(site.now(), 99), notice=told)
    page = open_page(site.url)
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_text(told["message"])
    site.waiting(QR, notice=told)
    expect_above_the_qr(page, told["message"])
    site.status = disconnected()
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_notice_is_drawn_once(site: Site, open_page: OpenPage) -> None:
    site.waiting(QR, notice=notice(Notice.SCAN_AGAIN))
    page = open_page(site.url)
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("alert").evaluate("""(alert) => {
      window.drawn = 0;
      new MutationObserver(() => (window.drawn += 1)).observe(alert, { childList: true, attributes: true });
    }""")
    polls(page, site, 4)
    assert page.evaluate("window.drawn") == 0


def test_a_notice_fits_a_small_phone(site: Site, open_page: OpenPage) -> None:
    for language in ("en", "es"):
        site.waiting(QR, notice=notice(Notice.NEW_QR, language))
        page = open_page(site.url, viewport={"width": 320, "height": 568}, locale=language)
        expect(page.get_by_role("alert")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_next_person_sees_no_notice(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    told = notice(Notice.SCAN_AGAIN)
    site.waiting(QR, notice=told)
    page = open_page(site.url)
    sign_in(page)
    expect(page.get_by_role("alert")).to_have_text(told["message"])
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert told["message"] not in everything_in(page)
