"""The page believes only answers of our API. Filters, proxies and login pages may answer instead."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.system.browser.conftest import OpenPage, pass_time, polls, stop_clocks, until
from tests.system.browser.fakes import (
    CONNECT,
    DISCONNECT,
    PAGE,
    QR_PICTURE,
    STATUS,
    Site,
    Supabase,
    attempt,
    error,
    qr,
    state,
)
from tests.system.browser.parts import failure_line, network_line, qr_frame, qr_picture, state_line, value_of
from tests.system.browser.server import Answer
from tests.system.browser.steps import QR, everything_in, expect_qr

CONFIG = f"GET {PAGE}/config.json"
TRYING = "The server is not answering properly. Trying again…"
CHECKING = "The server is not answering properly. This page is checking whether your click worked…"
HTML = {"Content-Type": "text/html"}

# Answers of something between the page and our API.
FOREIGN = {
    "html": Answer(200, b"<!doctype html><title>Blocked</title><p>Ask the administrator.", HTML),
    "cut": Answer(200, b'{"success": true, "status": "disc'),
    "empty": Answer(200, b""),
    "204": Answer(204, b""),
    "null": Answer(200, b"null"),
    "list": Answer(200, b'[{"success": true, "status": "disconnected"}]'),
    "string": Answer(200, b'"success"'),
    "number": Answer(200, b"1"),
    "object": Answer(200, {}),
    "string-true": Answer(200, {"success": "true", "status": "disconnected", "supabaseAnonKey": None}),
    "one": Answer(200, {"success": 1, "status": "disconnected", "supabaseAnonKey": 1}),
    "refusal": Answer(200, {"success": False, "error": "blocked", "message": "Blocked."}),
    "redirect": Answer(302, b"", {"Location": f"{PAGE}/app.js"}),
    "forbidden": Answer(403, b"<p>Blocked", HTML),
    "forbidden-json": Answer(403, {"error": "forbidden", "message": "Blocked by policy."}),
    "timeout": Answer(408, b"<p>Timeout", HTML),
    "gateway": Answer(502, b"<p>Bad gateway", HTML),
    "proxy-401": Answer(401, b"<p>Log in to the proxy", HTML),
    "proxy-401-json": Answer(401, {"message": "Please log in to the proxy"}),
    "proxy-401-error": Answer(401, {"error": "login", "message": "Unauthorized"}),
    "proxy-404-json": Answer(404, {"message": "No such page"}),
}


def test_the_page_asks_again_after_a_foreign_config(site: Site, supabase: Supabase, bare: Page) -> None:
    stop_clocks(bare, site)
    for name, answer in FOREIGN.items():
        site.standing[CONFIG] = answer
        bare.goto(site.url)
        expect(network_line(bare), name).to_have_text(TRYING)
        expect(bare.get_by_text("Sign-in is not configured")).to_be_hidden()
        del site.standing[CONFIG]
        pass_time(bare, site, 6)
        expect(bare.get_by_role("heading", name="Sign in"), name).to_be_visible()
        expect(network_line(bare), name).to_be_hidden()


@pytest.mark.parametrize("kind", ["html", "object", "redirect", "proxy-404-json"])
def test_the_page_repeats_its_request_for_the_local_runner(site: Site, bare: Page, kind: str) -> None:
    site.standing["GET /dev/config"] = FOREIGN[kind]
    bare.goto(site.url)
    expect(network_line(bare)).to_have_text(TRYING)
    del site.standing["GET /dev/config"]
    expect(bare.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


def test_a_foreign_answer_to_status_changes_nothing(site: Site, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url, clock=site)
    number = page.get_by_role("heading", name="+34 600 111 222")
    expect(number).to_be_visible()
    for name, answer in FOREIGN.items():
        site.standing[STATUS] = answer
        pass_time(page, site, 1)  # the next status
        expect(network_line(page), name).to_have_text(TRYING)
        expect(number, name).to_be_visible()
        expect(state_line(page), name).to_have_text("Connected")
        del site.standing[STATUS]
        pass_time(page, site, 6)
        expect(network_line(page), name).to_be_hidden()
        expect(number, name).to_be_visible()


def test_a_foreign_answer_to_disconnect_keeps_the_session(site: Site, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url, clock=site)
    page.get_by_role("button", name="Disconnect").click()
    for name, answer in FOREIGN.items():
        site.standing[DISCONNECT] = answer
        page.get_by_role("button", name="Yes, disconnect").click()
        expect(network_line(page), name).to_have_text(CHECKING)
        pass_time(page, site, 4)
        expect(network_line(page), name).to_be_hidden()  # the next status came
        expect(page.get_by_role("heading", name="+34 600 111 222"), name).to_be_visible()
    del site.standing[DISCONNECT]
    page.get_by_role("button", name="Yes, disconnect").click()
    expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()


def test_a_foreign_answer_to_connect_starts_no_pairing(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url, clock=site)
    for name, answer in FOREIGN.items():
        site.standing[CONNECT] = answer
        page.get_by_role("button", name="Connect WhatsApp").click()
        expect(network_line(page), name).to_have_text(CHECKING)
        pass_time(page, site, 4)
        expect(network_line(page), name).to_be_hidden()
        expect(page.get_by_role("heading", name="Connect your WhatsApp"), name).to_be_visible()
    del site.standing[CONNECT]
    page.get_by_role("button", name="Connect WhatsApp").click()
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()


SVG = {"Content-Type": "image/svg+xml"}
PICTURES = FOREIGN | {
    "html-as-svg": Answer(200, FOREIGN["html"].body, SVG),
    "cut-svg": Answer(200, qr.svg(QR)[:-600], SVG),
    "svg-that-ends-early": Answer(200, qr.svg(QR)[:-600] + b"</svg>", SVG),
    "empty-svg": Answer(200, b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>', SVG),
    "no-size": Answer(200, qr.svg(QR).replace(b'width="', b'width="0" x="', 1), SVG),
    "no-path": Answer(200, re.sub(rb' d="[^"]*"', b' d=""', qr.svg(QR)), SVG),
    "not-xml": Answer(200, b"<svg", SVG),
    "promises-more": Answer(200, qr.svg(QR)[:-600], SVG, promised=600),
    "503": error(503, "unavailable", "Busy."),
    "500": Answer(500, b""),
    "gone": error(404, "no_qr", "There is no QR now."),
}


def test_the_page_shows_a_qr_picture_only_when_it_loads(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    for name, answer in PICTURES.items():
        site.standing[QR_PICTURE] = answer
        site.waiting(QR)
        expect(network_line(page), name).to_have_text(f"The QR code does not load. {TRYING}")
        expect(page.get_by_role("heading", name="Scan this code with WhatsApp"), name).to_be_visible()
        expect(qr_picture(page), name).to_be_hidden()
        expect(qr_frame(page).locator("span"), name).to_be_visible()
        del site.standing[QR_PICTURE]
        expect_qr(page, QR)
        expect(network_line(page), name).to_be_hidden()
        site.finishing()
        expect(page.get_by_role("heading", name="Scanned."), name).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [("en-GB", "The QR code does not load."), ("es-ES", "El código QR no se carga.")],
    ids=["en", "es"],
)
def test_the_page_says_that_the_qr_picture_is_blocked(
    site: Site, open_page: OpenPage, locale: str, sentence: str
) -> None:
    page = open_page(site.url, locale=locale)
    page.route("**/api/whatsapp/qr", lambda route: route.abort("blockedbyclient"))
    site.waiting(QR)
    expect(network_line(page)).to_contain_text(sentence)
    page.unroute("**/api/whatsapp/qr")
    expect_qr(page, QR)
    expect(network_line(page)).to_be_hidden()


def test_the_first_failure_of_a_qr_picture_shows_no_message(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    network_line(page).evaluate("""(line) => {
      window.said = [];
      new MutationObserver(() => window.said.push(line.textContent)).observe(line, { childList: true });
    }""")
    site.next(QR_PICTURE, Answer(503, b""))
    site.waiting(QR)
    expect_qr(page, QR)
    assert page.evaluate("window.said") == []


@pytest.mark.parametrize("kind", ["text/plain", "text/html", "application/octet-stream"])
def test_our_answer_counts_under_any_content_type(site: Site, open_page: OpenPage, kind: str) -> None:
    site.waiting(QR)
    site.standing[STATUS] = Answer(200, json.dumps(site.status).encode(), {"Content-Type": kind})
    site.standing[QR_PICTURE] = Answer(200, qr.svg(QR), {"Content-Type": kind})
    expect_qr(open_page(site.url), QR)


def test_a_redirect_gets_no_token(site: Site, open_page: OpenPage) -> None:
    site.standing[STATUS] = Answer(307, b"", {"Location": "/elsewhere"})
    page = open_page(site.url)
    expect(network_line(page)).to_have_text(TRYING)
    until(page, lambda: site.count(STATUS) > 1)
    assert not any(request.path == "/elsewhere" for request in site.requests)


def test_malformed_times_and_numbers_are_not_shown(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    for deadline in ("soon", {}, [], True, "2026-99-99T00:00:00Z"):
        site.status = state("connecting", attempt=attempt(site.now(), 60) | {"deadline": deadline})
        polls(page, site)
        expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()
        assert "NaN" not in everything_in(page), deadline
    site.connect(messagesSent="many", messagesReceived={})
    expect(value_of(page, "Messages sent")).to_have_text("—")
    expect(value_of(page, "Messages received")).to_have_text("—")


def test_malformed_values_of_a_connected_status_break_nothing(site: Site, open_page: OpenPage) -> None:
    """A pace that is no number and a time that is no time break nothing."""
    site.connect(connectedAt="yesterday", lastSeen={}, pollAfterMs="often", phoneNumber={"a": 1}, messagesSent=None)
    page = open_page(site.url)
    expect(page.get_by_role("button", name="Disconnect")).to_be_visible()
    polls(page, site)
    expect(value_of(page, "Connected since")).to_have_text("—")
    expect(failure_line(page)).to_be_hidden()


def test_a_blocked_status_request_shows_no_connection(site: Site, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url)
    number = page.get_by_role("heading", name="+34 600 111 222")
    expect(number).to_be_visible()

    def refuse(route: Route) -> None:
        route.abort("blockedbyclient")

    page.route("**/api/whatsapp/status", refuse)
    expect(network_line(page)).to_have_text("No connection. Trying again…")
    expect(number).to_be_visible()
