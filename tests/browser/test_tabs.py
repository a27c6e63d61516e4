"""One sign-in in several tabs, and a document that the browser puts away and brings back."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .conftest import OpenPage, polls, until
from .fakes import STATUS, TOKEN, Site, Supabase
from .server import Answer
from .test_next_person import KEPT, LATE, everything_in, expect_b, late, sign_in_a
from .test_sign_in import sign_in


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
    page = open_page(site.url)
    sign_in_a(page, "Disconnect")
    put_away(page)
    assert "600 111 222" not in everything_in(page)
    asked = site.count(STATUS)
    page.wait_for_timeout(500)
    assert site.count(STATUS) <= asked + 1  # one may have been under way
    bring_back(page)
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()


@pytest.mark.parametrize("then", ["signed out", "next person"])
def test_document_that_comes_back_finds_out_who_is_here(
    site: Site, supabase: Supabase, open_page: OpenPage, then: str
) -> None:
    site.connect()
    page = open_page(site.url)
    sign_in_a(page, "Disconnect")
    held = threading.Event()
    supabase.next(TOKEN, late(LATE["tokens"], held))
    site.tokens.clear()
    until(page, lambda: supabase.count(TOKEN + "?grant_type=refresh_token"))
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
    page.wait_for_timeout(500)
    assert page.evaluate("sessionStorage.length") == 0
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
