"""When the page asks for the status."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.system.browser.conftest import OpenPage, pass_time, until
from tests.system.browser.fakes import STATUS, Site, disconnected


def test_an_unchanged_status_is_answered_304(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    until(page, lambda: site.count(STATUS) > 2)
    asked = [request for request in site.requests if request.path == "/api/whatsapp/status"]
    assert "if-none-match" not in asked[0].headers
    assert len(asked) > 2
    assert all("if-none-match" in request.headers for request in asked[1:])


def test_the_server_sets_the_pace_of_polling(site: Site, open_page: OpenPage) -> None:
    site.status["pollAfterMs"] = 60_000
    page = open_page(site.url, clock=site)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    sent = _sent_from_now(page)
    pass_time(page, site, 59)
    page.evaluate("0")  # by now a request would be in the list
    assert sent == []
    assert site.count(STATUS) == 1
    pass_time(page, site, 2)
    until(page, lambda: site.count(STATUS) == 2)
    assert len(sent) == 1
    page.get_by_role("button", name="Connect WhatsApp").click()  # after an action, the page asks for the status at once
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()
    until(page, lambda: site.count(STATUS) == 3)


def test_a_hidden_tab_polls_less_and_polls_at_once_when_shown(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url, clock=site)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    _hide(page, "hidden")
    site.connect()
    pass_time(page, site, 1)  # the request that was already planned
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    sent = _sent_from_now(page)
    pass_time(page, site, 14)
    page.evaluate("0")
    assert sent == []
    site.status = disconnected()
    pass_time(page, site, 2)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    assert len(sent) == 1
    site.connect()
    _hide(page, "visible")
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()


def test_a_stopped_clock_ignores_the_machine_s_clock(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url, clock=site)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()

    def times() -> tuple[list[float], float]:
        return page.evaluate("[Date.now(), performance.now()]"), site.now().timestamp()

    before = times()
    page.wait_for_timeout(200)  # a running clock would move, and the page would poll twice
    assert times() == before
    assert site.count(STATUS) == 1


def test_a_reload_keeps_only_the_development_user_s_id(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    asked = [request.body for request in site.requests if request.path == "/dev/token"]
    assert asked == [{}, {"userId": "user-1"}]
    stored = page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    assert "development" not in stored


def _sent_from_now(page: Page) -> list[str]:
    """The URLs of the requests that the page sends from now on. Chromium reports each before it answers an evaluate."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    return sent


def _hide(page: Page, visibility: str) -> None:
    """Headless tabs are always visible, so this sets the visibility that the document reports."""
    page.evaluate(
        """(value) => {
          Object.defineProperty(document, "visibilityState", { value, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        visibility,
    )
