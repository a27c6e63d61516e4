"""When the page asks for the status."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .conftest import OpenPage, until
from .fakes import STATUS, Site


def test_unchanged_status_costs_a_304(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    until(page, lambda: site.count(STATUS) > 2)
    asked = [request for request in site.requests if request.path == "/api/whatsapp/status"]
    assert "if-none-match" not in asked[0].headers
    assert len(asked) > 2
    assert all("if-none-match" in request.headers for request in asked[1:])


def test_pace_is_the_servers(site: Site, open_page: OpenPage) -> None:
    site.status["pollAfterMs"] = 60_000
    page = open_page(site.url)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    page.wait_for_timeout(500)
    assert site.count(STATUS) == 1
    page.get_by_role("button", name="Connect WhatsApp").click()  # an action asks at once
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()
    until(page, lambda: site.count(STATUS) >= 2)


def test_hidden_tab_asks_less_and_catches_up(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    _hide(page, "hidden")
    until(page, lambda: _is_quiet(page, site))
    site.connect()
    _hide(page, "visible")
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()


def test_reload_keeps_the_development_user_only(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    asked = [request.body for request in site.requests if request.path == "/dev/token"]
    assert asked == [{}, {"userId": "user-1"}]
    stored = page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    assert "development" not in stored


def _is_quiet(page: Page, site: Site) -> bool:
    """Whether the page asks for nothing for a second, which is ten times the server's pace."""
    before = site.count(STATUS)
    page.wait_for_timeout(1000)
    return site.count(STATUS) == before


def _hide(page: Page, visibility: str) -> None:
    """Headless tabs are always visible, so the document says what a hidden one would say."""
    page.evaluate(
        """(value) => {
          Object.defineProperty(document, "visibilityState", { value, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        visibility,
    )
