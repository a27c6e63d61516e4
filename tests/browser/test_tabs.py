"""One sign-in in several tabs, and a document that the browser puts away and brings back."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .conftest import OpenPage, pass_time, polls, until
from .fakes import TOKEN, Site, Supabase, error
from .server import Answer
from .steps import KEPT, LATE, QR, everything_in, expect_b, hold_renewal, late, sign_in, sign_in_a


def test_sign_out_ends_the_copy_of_a_tab(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url)
    sign_in_a(page, "Disconnect")
    copy = copy_of(page, site)
    expect(copy.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(copy.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(copy.get_by_text("Your session has ended. Sign in again.")).to_be_visible()
    assert copy.evaluate("sessionStorage.length") == 0
    assert "600 111 222" not in everything_in(copy)
    assert supabase.count("POST /auth/v1/logout?scope=local") == 1


def test_sign_out_leaves_another_sign_in_alone(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url)
    sign_in_a(page, "Disconnect")
    other = page.context.new_page()
    other.goto(site.url)
    sign_in(other)
    expect(other.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    polls(other, site, 3)
    expect(other.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    assert other.evaluate(KEPT)["access"] == "access-2"


def copy_of(page: Page, site: Site) -> Page:
    """A tab as the browser's "Duplicate" makes it: with the same session storage."""
    kept: dict[str, Any] = page.evaluate("({...sessionStorage})")
    copy = page.context.new_page()
    copy.add_init_script(f"""if (!window.name) {{
      for (const [key, value] of Object.entries({json.dumps(kept)})) sessionStorage.setItem(key, value);
      window.name = "copied";
    }}""")
    copy.goto(site.url)
    return copy


# ── the back/forward cache: the browser puts a document away and brings it back as it was ──


def put_away(page: Page) -> None:
    """Headless Chromium has no such cache, so the document is told what it would be told."""
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")


def bring_back(page: Page) -> None:
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")


def test_document_that_is_put_away_shows_nobody(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url, clock=site)
    sign_in_a(page, "Disconnect")
    put_away(page)
    assert "600 111 222" not in everything_in(page)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    pass_time(page, site, 120)
    page.evaluate("0")
    assert sent == []
    bring_back(page)
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()


@pytest.mark.parametrize("then", ["signed out", "next person"])
def test_document_that_comes_back_finds_out_who_is_here(
    site: Site, supabase: Supabase, open_page: OpenPage, then: str
) -> None:
    site.connect()
    page = open_page(site.url)
    held = hold_renewal(page, site, supabase, LATE["tokens"])
    put_away(page)
    if then == "signed out":
        page.evaluate("sessionStorage.clear()")
    else:
        tokens = supabase.issue()
        kept = {"id": "b", "access": tokens["access_token"], "refresh": tokens["refresh_token"], "expiresAt": 1e15}
        page.evaluate("(kept) => sessionStorage.setItem('whatsapp-pairing.tokens', JSON.stringify(kept))", kept)
        site.connect(phoneNumber="34699999999")
    seen = len(site.requests)
    held.set()
    bring_back(page)
    if then == "signed out":
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
    else:
        expect_b(page, site, seen)


def test_sign_in_that_is_put_away_signs_nobody_in(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    held = threading.Event()
    supabase.next(TOKEN, late(Answer(200, supabase.issue()), held))
    sign_in(page)
    until(page, lambda: supabase.count(TOKEN + "?grant_type=password"))
    put_away(page)
    held.set()
    bring_back(page)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    until(page, lambda: supabase.released == 1)
    page.evaluate("0")  # the page has seen the answer, if it still could
    assert page.evaluate("sessionStorage.length") == 0
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


def test_late_failure_of_a_scan_is_dropped(site: Site, open_page: OpenPage) -> None:
    site.waiting(QR)
    held = threading.Event()
    site.next("POST /dev/phone/scan", late(error(422, "scan_failed", "The phone did not understand this QR."), held))
    page = open_page(site.url, clock=site)
    page.get_by_role("button", name="Scan with the sandbox phone").click()
    until(page, lambda: site.count("POST /dev/phone/scan"))
    put_away(page)
    bring_back(page)
    expect(page.get_by_role("button", name="Scan with the sandbox phone")).to_be_visible()
    with page.expect_event("requestfinished", lambda request: request.url.endswith("/scan")):
        held.set()
    pass_time(page, site, 1)  # one more drawing
    expect(page.locator("#notice")).to_be_hidden()
