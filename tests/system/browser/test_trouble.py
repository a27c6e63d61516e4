"""What the settings page says about errors, pauses and a failing network."""

from __future__ import annotations

import re
import threading

import pytest
from playwright.sync_api import expect

from tests.system.browser.conftest import OpenPage, pass_time, polls, until
from tests.system.browser.fakes import CONNECT, DISCONNECT, STATUS, Site, attempt, disconnected, error, state
from tests.system.browser.parts import network_line
from tests.system.browser.server import Answer
from tests.system.browser.steps import QR, expect_qr


def test_an_error_shows_its_reason_and_a_retry_button(site: Site, open_page: OpenPage) -> None:
    site.fail("qr_timeout", "WhatsApp did not send a QR code in time. Please try again.")
    page = open_page(site.url)
    expect(page.get_by_text("WhatsApp did not send a QR code in time.").last).to_be_visible()
    expect(page.get_by_text("Code: qr_timeout")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()


def test_the_button_counts_down_the_pause_between_attempts(site: Site, open_page: OpenPage) -> None:
    site.fail("scan_timeout", "The QR code was not scanned in time.")
    site.next(CONNECT, error(429, "too_soon", "Too soon.", Retry_After="60"))
    page = open_page(site.url, clock=site)
    page.get_by_role("button", name="Try again").click()
    waiting = page.get_by_role("button", name=re.compile(r"Try again in \d+ s"))
    expect(waiting).to_be_visible()
    waiting.click(force=True)  # must do nothing
    expect(page.get_by_text("There is a pause between tries.")).to_be_visible()
    pass_time(page, site, 61)
    expect(page.get_by_role("button", name="Try again", exact=True)).to_be_visible()
    assert site.count(CONNECT) == 1
    page.get_by_role("button", name="Try again", exact=True).click()
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "idle", "waiting", "notice"),
    [
        ("en-GB", "Connect WhatsApp", r"^Connect in (60:00|5\d:\d\d)$", "There is a pause between tries."),
        ("es-ES", "Conectar WhatsApp", r"^Conectar en (60:00|5\d:\d\d)$", "Hay una pausa entre un intento"),
    ],
    ids=["en", "es"],
)
def test_a_long_pause_is_shown_in_minutes(
    site: Site, open_page: OpenPage, locale: str, idle: str, waiting: str, notice: str
) -> None:
    site.next(CONNECT, error(429, "too_soon", "Too soon.", Retry_After="3600"))
    page = open_page(site.url, locale=locale, clock=site)
    page.get_by_role("button", name=idle).click()
    expect(page.get_by_role("button", name=re.compile(waiting))).to_be_disabled()
    expect(page.get_by_role("alert")).to_contain_text(notice)


def test_the_last_minute_of_a_pause_is_shown_in_seconds(site: Site, open_page: OpenPage) -> None:
    site.fail("scan_timeout", "The QR code was not scanned in time.")
    site.next(CONNECT, error(429, "too_soon", "Too soon.", Retry_After="119"))
    page = open_page(site.url, clock=site)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("button", name=re.compile(r"^Try again in 1:\d\d$"))).to_be_visible()
    pass_time(page, site, 60)
    expect(page.get_by_role("button", name=re.compile(r"^Try again in \d+ s$"))).to_be_visible()


def test_a_full_system_shows_when_to_try_again(site: Site, open_page: OpenPage) -> None:
    message = "Many people are connecting right now. Try again in a moment."
    site.next(CONNECT, error(503, "at_capacity", "English only", Retry_After="30"))
    page = open_page(site.url, clock=site)
    page.get_by_role("button", name="Connect WhatsApp").click()
    expect(page.get_by_text(message)).to_be_visible()
    expect(page.get_by_role("button", name=re.compile(r"Connect in \d+ s"))).to_be_visible()


@pytest.mark.parametrize("answer", [error(503, "unavailable", "Busy."), Answer(502, b"<h1>Bad gateway")])
def test_a_click_that_may_be_stored_is_repeated_once(site: Site, open_page: OpenPage, answer: Answer) -> None:
    """The first click may be stored without its workflow. The second click starts the workflow."""
    site.next(CONNECT, answer)
    page = open_page(site.url)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    site.status = state("connecting", attempt=attempt(site.now(), 110))
    page.get_by_role("button", name="Connect WhatsApp").click()
    until(page, lambda: site.count(CONNECT) == 2)
    polls(page, site, 3)
    assert site.count(CONNECT) == 2


def test_a_click_that_was_not_stored_is_not_repeated(site: Site, open_page: OpenPage) -> None:
    site.next(CONNECT, error(503, "unavailable", "Busy."))
    page = open_page(site.url)
    page.get_by_role("button", name="Connect WhatsApp").click()
    polls(page, site, 3)
    assert site.count(CONNECT) == 1


STRANGERS = {
    "html": Answer(503, b"<h1>Maintenance", {"Content-Type": "text/html", "Retry-After": "3600"}),
    "html-429": Answer(429, b"<h1>Slow down", {"Content-Type": "text/html", "Retry-After": "3600"}),
    "json": Answer(503, {"message": "Service Unavailable"}, {"Retry-After": "3600"}),
    "true": Answer(503, {"success": True, "error": "unavailable"}, {"Retry-After": "3600"}),
    "no-code": Answer(429, {"success": False}, {"Retry-After": "3600"}),
    "fault": error(500, "internal", "An error.", Retry_After="3600"),
    "not-a-wait": error(403, "forbidden", "No.", Retry_After="3600"),
}


@pytest.mark.parametrize("answer", STRANGERS.values(), ids=STRANGERS)
def test_a_foreign_retry_after_does_not_stop_the_polling(site: Site, open_page: OpenPage, answer: Answer) -> None:
    site.next(STATUS, answer)
    page = open_page(site.url, clock=site)
    expect(network_line(page)).to_have_text("The server is not answering properly. Trying again…")
    pass_time(page, site, 31)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


@pytest.mark.parametrize("answer", STRANGERS.values(), ids=STRANGERS)
def test_a_foreign_retry_after_locks_the_button_for_30_s_at_most(
    site: Site, open_page: OpenPage, answer: Answer
) -> None:
    page = open_page(site.url, clock=site)
    site.next(CONNECT, answer)
    page.get_by_role("button", name="Connect WhatsApp").click()
    expect(page.get_by_role("button", name=re.compile(r"^Connect in (30|[12]?\d) s$"))).to_be_visible()
    pass_time(page, site, 31)
    page.get_by_role("button", name="Connect WhatsApp").click()
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()


def test_a_foreign_retry_after_does_not_stop_the_start(site: Site, open_page: OpenPage) -> None:
    site.next("GET /dev/config", STRANGERS["html"])
    page = open_page(site.url, clock=site)
    expect(network_line(page)).to_have_text("The server is not answering properly. Trying again…")
    pass_time(page, site, 31)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


@pytest.mark.parametrize("code", [429, 503])
def test_the_page_waits_as_long_as_our_retry_after_says(site: Site, open_page: OpenPage, code: int) -> None:
    site.next(STATUS, error(code, "unavailable", "Busy.", Retry_After="120"))
    page = open_page(site.url, clock=site)
    expect(network_line(page)).to_have_text("The server is not answering properly. Trying again…")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    pass_time(page, site, 119)
    page.evaluate("0")  # by now a request would be in the list
    assert sent == []
    pass_time(page, site, 2)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


@pytest.mark.parametrize("answer", [error(503, "unavailable", "Busy.", Retry_After="3600"), STRANGERS["html"]])
def test_a_refused_disconnect_does_not_lock_connect(site: Site, open_page: OpenPage, answer: Answer) -> None:
    site.waiting(QR)
    page = open_page(site.url)
    site.next(DISCONNECT, answer)
    page.get_by_role("button", name="Cancel").click()
    until(page, lambda: site.count(DISCONNECT))
    expect(page.get_by_role("button", name="Cancel")).not_to_have_attribute("aria-disabled", "true")
    site.status = disconnected()
    expect(page.get_by_role("button", name="Connect WhatsApp")).not_to_have_attribute("aria-disabled", "true")


def test_the_page_shows_a_lost_connection_until_it_is_back(site: Site, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url)
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    site.broken = True
    expect(page.get_by_text("No connection. Trying again…")).to_be_visible()
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    site.broken = False
    expect(page.get_by_text("No connection. Trying again…")).to_be_hidden()


def test_an_action_without_a_connection_shows_no_result(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    site.broken = True
    page.get_by_role("button", name="Connect WhatsApp").click()
    expect(network_line(page)).to_have_text(
        "No connection. Trying again… This page is checking whether your click worked…"
    )
    site.broken = False
    expect(network_line(page)).to_be_hidden()
    page.get_by_role("button", name="Connect WhatsApp").click()
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "button", "said"),
    [
        ("en-GB", "Connect WhatsApp", "No answer came. This page is checking whether your click worked…"),
        ("es-ES", "Conectar WhatsApp", "No ha llegado respuesta. Esta página está comprobando si tu clic"),
    ],
    ids=["en", "es"],
)
def test_the_page_finds_out_what_a_lost_answer_said(
    site: Site, open_page: OpenPage, locale: str, button: str, said: str
) -> None:
    site.status["pollAfterMs"] = 60_000  # so that only the click leads to the QR
    page = open_page(site.url, locale=locale, clock=site)
    expect(page.get_by_role("button", name=button)).to_be_visible()
    site.standing[CONNECT] = Answer(
        202, lost=True
    )  # standing, because Chromium itself repeats the request on a new connection
    site.waiting(QR)  # the server has done what was asked
    page.get_by_role("button", name=button).click()
    expect(network_line(page)).to_contain_text(said)
    expect_qr(page, QR)
    pass_time(page, site, 4)
    expect(network_line(page)).to_be_hidden()


def test_an_answer_that_takes_too_long_counts_as_none(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url, clock=site)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    never = threading.Event()
    site.next(CONNECT, Answer(202, site.status, held=never))
    page.get_by_role("button", name="Connect WhatsApp").click()
    until(page, lambda: site.count(CONNECT) == 1)
    site.standing[STATUS] = Answer(200, site.status, held=never)
    pass_time(page, site, 21)
    expect(network_line(page)).to_contain_text("This page is checking whether your click worked…")
    never.set()


def test_the_page_waits_for_a_server_that_answers_502(site: Site, open_page: OpenPage) -> None:
    site.next(STATUS, Answer(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}))
    page = open_page(site.url)
    expect(page.get_by_text("The server is not answering properly.")).to_be_visible()
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


def test_html_in_a_reason_is_shown_as_text(site: Site, open_page: OpenPage) -> None:
    site.fail("internal", "<img src=x onerror=alert(1)>")
    page = open_page(site.url)
    expect(page.get_by_text("<img src=x onerror=alert(1)>", exact=True).last).to_be_visible()
