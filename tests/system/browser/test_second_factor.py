"""The operator demands a second factor, which the page's own sign-in cannot ask for."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import Page, expect

from tests.system.browser.conftest import OpenPage, pass_time, polls, until
from tests.system.browser.fakes import CONNECT, DISCONNECT, QR_PICTURE, STATUS, Site, Supabase, disconnected, error
from tests.system.browser.parts import alerts, announcer, network_line, panels, qr_picture, spinners, state_line
from tests.system.browser.server import Answer
from tests.system.browser.steps import KEPT, QR, REFRESH, late, sign_in

REFUSAL = error(403, "second_factor_required", "Sign in with your second factor: this service asks for it.")
TITLE = "Sign in with your second factor"
SENTENCE = "This page cannot ask for it. Sign in on your product’s own page and connect WhatsApp there"


def barred(site: Site) -> None:
    """Let the API demand the second factor from now on, in each call."""
    site.standing.update(dict.fromkeys((STATUS, CONNECT, DISCONNECT, QR_PICTURE), REFUSAL))


def calls(site: Site) -> int:
    """How many calls of the API the page has made."""
    return sum("/api/" in request.path for request in site.requests)


def expect_barred(page: Page) -> None:
    expect(page.get_by_role("heading", name=TITLE)).to_be_visible()
    expect(page.get_by_text(SENTENCE).last).to_be_visible()
    expect(panels(page)).to_have_count(1)
    expect(page.get_by_text("Loading…").last).to_be_hidden()
    expect(network_line(page)).to_be_hidden()
    for unwanted in (alerts(page), state_line(page), spinners(page)):
        expect(unwanted).to_have_count(0)


def expect_silence(page: Page, site: Site) -> None:
    """Let hours pass, show the tab and bring the network back. The page must send no request."""
    asked = calls(site)
    for _ in range(4):
        pass_time(page, site, 3600)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange')); dispatchEvent(new Event('online'))")
        page.evaluate("0")  # by now a request would have been counted
    assert calls(site) == asked
    expect_barred(page)


def test_the_page_says_once_that_a_second_factor_is_needed(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    barred(site)
    page = open_page(site.url, clock=site)
    sign_in(page)
    expect_barred(page)
    assert calls(site) == 1
    expect_silence(page, site)
    assert supabase.count(REFRESH) == 0
    assert page.evaluate(KEPT)["access"] == "access-1"  # still signed in
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_hidden()


def test_the_second_factor_panel_is_in_spanish(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    barred(site)
    page = open_page(site.url, locale="es-ES")
    page.get_by_label("Correo").fill("ana@example.com")
    page.get_by_label("Contraseña").fill("correct horse")
    page.get_by_role("button", name="Iniciar sesión").click()
    expect(page.get_by_role("heading", name="Inicia sesión con tu segundo factor")).to_be_visible()
    sentence = "Inicia sesión en la página de tu producto y conecta WhatsApp allí"
    expect(page.get_by_text(sentence).last).to_be_visible()
    expect(announcer(page)).to_contain_text("Esta página no puede pedirlo.")


def test_a_person_without_a_second_factor_may_sign_out_and_in(
    site: Site, supabase: Supabase, open_page: OpenPage
) -> None:
    barred(site)
    page = open_page(site.url)
    sign_in(page)
    expect_barred(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
    expect(page.get_by_label("E-mail")).to_be_focused()
    expect(alerts(page)).to_have_count(0)
    until(page, lambda: supabase.count("POST /auth/v1/logout?scope=local"))
    sign_in(page)
    expect_barred(page)
    site.standing.clear()  # the operator demands it no longer
    page.reload()
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    polls(page, site)


def test_a_later_demand_for_a_second_factor_clears_the_page(
    site: Site, supabase: Supabase, open_page: OpenPage
) -> None:
    site.waiting(QR)
    page = open_page(site.url, clock=site)
    sign_in(page)
    expect(qr_picture(page)).to_be_visible()
    barred(site)
    pass_time(page, site, 1)
    expect_barred(page)
    assert qr_picture(page).get_attribute("src") is None
    expect_silence(page, site)


@pytest.mark.parametrize(("button", "call"), [("Connect WhatsApp", CONNECT), ("Yes, disconnect", DISCONNECT)])
def test_a_click_refused_for_the_second_factor_shows_the_panel(
    site: Site, supabase: Supabase, open_page: OpenPage, button: str, call: str
) -> None:
    if call == DISCONNECT:
        site.connect(pollAfterMs=60_000)
    else:
        site.status = disconnected() | {"pollAfterMs": 60_000}
    page = open_page(site.url, clock=site)
    sign_in(page)
    if call == DISCONNECT:
        page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("button", name=button)).to_be_visible()
    barred(site)
    page.get_by_role("button", name=button).click()
    expect_barred(page)
    assert site.count(call) == 1
    expect_silence(page, site)


def test_a_late_status_keeps_the_second_factor_panel(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    site.status = disconnected() | {"pollAfterMs": 60_000}
    page = open_page(site.url, clock=site)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    held = threading.Event()
    site.next(STATUS, late(Answer(200, site.status), held))
    pass_time(page, site, 61)
    until(page, lambda: site.count(STATUS) == 2)
    barred(site)
    page.get_by_role("button", name="Connect WhatsApp").click()
    expect_barred(page)
    held.set()
    until(page, lambda: site.released == 1)
    expect_silence(page, site)


FOREIGN = {
    "another status": error(400, "second_factor_required", "Sign in."),
    "a gateway": Answer(403, {"message": "Forbidden"}),
    "a proxy": Answer(403, b"<p>second_factor_required"),
    "a proxy's json": Answer(403, {"error": "second_factor_required", "message": "Blocked."}),
    "another code": error(403, "forbidden", "No."),
}


def test_any_other_refusal_is_tried_again(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url, clock=site)
    sign_in(page)
    number = page.get_by_role("heading", name="+34 600 111 222")
    expect(number).to_be_visible()
    for name, answer in FOREIGN.items():
        site.standing[STATUS] = answer
        pass_time(page, site, 1)
        expect(network_line(page), name).to_have_text("The server is not answering properly. Trying again…")
        expect(number, name).to_be_visible()
        del site.standing[STATUS]
        pass_time(page, site, 6)
        expect(network_line(page), name).to_be_hidden()


def test_the_local_page_has_no_sign_out_and_stops_polling(site: Site, open_page: OpenPage) -> None:
    barred(site)
    page = open_page(site.url, clock=site)
    expect_barred(page)
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect_silence(page, site)
    assert site.count("POST /dev/token") == 1
