"""One sign-in in several tabs, and a document that the browser caches and restores."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.system.browser.conftest import OpenPage, pass_time, polls, until
from tests.system.browser.fakes import PAGE, TOKEN, Site, Supabase, error
from tests.system.browser.parts import alerts
from tests.system.browser.server import Answer, Request
from tests.system.browser.steps import (
    KEPT,
    LATE,
    QR,
    REFRESH,
    assert_only_marks,
    everything_in,
    expect_b,
    hold_renewal,
    late,
    sign_in,
    sign_in_a,
)


def test_sign_out_in_one_tab_signs_its_duplicate_out(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
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


def test_sign_out_keeps_another_sign_in_of_the_same_browser(
    site: Site, supabase: Supabase, open_page: OpenPage
) -> None:
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


def test_a_tab_that_was_on_another_page_stays_signed_out(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url)
    sign_in_a(page, "Disconnect")
    copy = copy_of(page, site)
    expect(copy.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    copy.goto(site.url + "/icon.svg")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    copy.go_back()
    expect_nobody(copy)
    assert_only_marks(copy)


def test_a_tab_that_was_loading_stays_signed_out(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url)
    sign_in_a(page, "Disconnect")
    copy = copy_of(page, site)
    expect(copy.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    held = threading.Event()
    config = f"{PAGE}/config.json"
    site.next(f"GET {config}", late(site.answer(Request("GET", config, {}, {})), held))
    seen = site.count(f"GET {config}")
    copy.reload()
    until(copy, lambda: site.count(f"GET {config}") > seen)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    held.set()
    expect_nobody(copy)
    assert_only_marks(copy)


NO_MESSAGES = {
    "no channel": "delete window.BroadcastChannel",
    "refused": "BroadcastChannel = class { constructor() { throw new DOMException('', 'SecurityError'); } }",
    "cannot send": "BroadcastChannel.prototype.postMessage = () => { throw new DOMException('', 'DataCloneError'); }",
    "closed": "BroadcastChannel.prototype.close = () => { throw new DOMException('', 'InvalidStateError'); }",
}


@pytest.mark.parametrize("script", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_a_tab_without_messages_signs_out_at_its_next_request(
    site: Site, supabase: Supabase, open_page: OpenPage, script: str
) -> None:
    site.connect()
    page = open_page(site.url, script=script)
    sign_in_a(page, "Disconnect")
    copy = copy_of(page, site)
    expect(copy.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect_nobody(copy)
    expect(copy.get_by_text("Your session has ended. Sign in again.")).to_be_visible()


def test_a_tab_without_messages_drops_a_late_renewal(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url, script=NO_MESSAGES["no channel"])
    sign_in_a(page, "Disconnect")
    site.status["pollAfterMs"] = 60_000
    polls(page, site, 1)
    copy = copy_of(page, site)
    expect(copy.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    held = threading.Event()
    supabase.next(TOKEN, late(LATE["tokens"], held))
    site.tokens.clear()
    copy.get_by_role("button", name="Disconnect").click()
    copy.get_by_role("button", name="Yes, disconnect").click()
    until(copy, lambda: supabase.count(REFRESH))
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    held.set()
    expect_nobody(copy)


def test_the_page_keeps_fifty_marks_of_ended_sign_ins(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in_a(page, "Connect WhatsApp")
    page.evaluate("""() => {
      localStorage.setItem("another", "stays");
      for (let n = 0; n < 90; n++) localStorage.setItem(`whatsapp-pairing.ended.new${n}`, String(Date.now() - n));
      for (const at of ["0", "", "never", "-1", String(2 * Date.now()), String(Date.now() - 40 * 86_400_000)]) {
        localStorage.setItem(`whatsapp-pairing.ended.old${at}`, at);
      }
    }""")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    names: list[str] = page.evaluate("Object.keys(localStorage)")
    ours = {name.removeprefix("whatsapp-pairing.ended.") for name in names if name != "another"}
    assert len(ours) == 50
    assert {f"new{n}" for n in range(49)} < ours
    assert len(names) == 51


def expect_nobody(page: Page) -> None:
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    assert "600 111 222" not in everything_in(page)


def copy_of(page: Page, site: Site) -> Page:
    """A duplicate of the tab, with the same session storage, as the browser makes it."""
    kept: dict[str, Any] = page.evaluate("({...sessionStorage})")
    copy = page.context.new_page()
    copy.add_init_script(f"""if (!window.name) {{
      for (const [key, value] of Object.entries({json.dumps(kept)})) sessionStorage.setItem(key, value);
      window.name = "copied";
    }}""")
    copy.goto(site.url)
    return copy


# ── the back/forward cache: the browser keeps a whole document, and restores it later ──


def put_away(page: Page) -> None:
    """Headless Chromium has no such cache, so the test sends the event that the cache would send."""
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")


def bring_back(page: Page) -> None:
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")


def test_a_cached_document_shows_no_personal_data(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
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
def test_a_restored_document_asks_who_is_signed_in(
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


def test_a_restored_document_drops_a_late_sign_in(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
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
    page.evaluate("0")  # by now the page has handled the answer, if it still listened
    assert page.evaluate("sessionStorage.length") == 0
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


def test_a_restored_document_drops_a_late_scan_failure(site: Site, open_page: OpenPage) -> None:
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
    pass_time(page, site, 1)  # so that the page draws once more
    expect(alerts(page)).to_have_count(0)
