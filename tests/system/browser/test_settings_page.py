"""Every state of the settings page in Chromium. `test_trouble.py` has the errors."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.system.browser.conftest import OpenPage, polls, until
from tests.system.browser.fakes import CONNECT, DISCONNECT, QR_PICTURE, STATUS, Site, attempt, cancelled, error, state
from tests.system.browser.parts import NUMBER_OF_SANDBOX_PHONE, alerts, panels, value_of
from tests.system.browser.server import Answer
from tests.system.browser.steps import QR, expect_qr, on_screen

OTHER = QR.replace("aFirstRef", "aSecondRef")
HEADINGS = {
    "disconnected": "Connect your WhatsApp",
    "connecting": "Getting your QR code…",
    "qr": "Scan this code with WhatsApp",
    "finishing": "Scanned. Finishing on your phone…",
}


def test_the_page_connects_and_disconnects(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    page.get_by_role("button", name="Connect WhatsApp").click()
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()
    site.waiting(QR)
    expect(page.get_by_role("heading", name="Scan this code with WhatsApp")).to_be_visible()
    expect_qr(page, QR)
    expect(page.get_by_text(re.compile(r"New code in \d+ s"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"Time left: \d+:\d\d")).last).to_be_visible()
    page.get_by_role("button", name="Scan with the sandbox phone").click()
    expect(page.get_by_role("heading", name="Scanned. Finishing on your phone…")).to_be_visible()
    site.connect()
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    expect(value_of(page, "Last seen")).to_have_text("4 minutes ago")
    expect(value_of(page, "Messages sent")).to_have_text("1,284")
    page.get_by_role("button", name="Disconnect").click()
    assert site.count(DISCONNECT) == 0
    page.get_by_role("button", name="Yes, disconnect").click()
    expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()
    assert (site.count(CONNECT), site.count(DISCONNECT)) == (1, 1)


def test_the_sandbox_phone_gets_the_qr_and_the_number(site: Site, open_page: OpenPage) -> None:
    site.waiting(QR)
    page = open_page(site.url)
    page.get_by_label("Number of the sandbox phone").fill("4915112345678")
    page.get_by_role("button", name="Scan with the sandbox phone").click()
    expect(page.get_by_role("heading", name="Scanned. Finishing on your phone…")).to_be_visible()
    scan = next(request for request in site.requests if request.path == "/dev/phone/scan")
    assert scan.body == {"qr": QR, "number": "4915112345678"}
    polls(page, site)
    expect(alerts(page)).to_have_count(0)


def test_a_refusal_of_the_sandbox_phone_is_shown_in_its_words(site: Site, open_page: OpenPage) -> None:
    site.waiting(QR)
    site.next("POST /dev/phone/scan", Answer(409, {"error": "too_many_devices", "message": "All are taken."}))
    page = open_page(site.url)
    page.get_by_role("button", name="Scan with the sandbox phone").click()
    expect(page.get_by_role("alert")).to_have_text("All are taken.")


def test_the_real_whatsapp_hides_the_sandbox_phone(site: Site, open_page: OpenPage) -> None:
    site.development = {"whatsapp": "live", "sandboxPhone": False}
    site.waiting(QR)
    page = open_page(site.url)
    expect_qr(page, QR)
    expect(page.get_by_label(NUMBER_OF_SANDBOX_PHONE)).to_be_hidden()


def test_an_expired_qr_is_replaced_by_the_next_one(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    site.waiting(QR)
    expect_qr(page, QR)
    site.waiting(QR, seconds=0)
    expect(page.get_by_text("Getting a new code…")).to_be_visible()
    assert on_screen(page) == []  # an expired QR must not be readable
    site.waiting(OTHER)
    expect(page.get_by_text(re.compile(r"New code in \d+ s"))).to_be_visible()
    expect_qr(page, OTHER)
    assert site.count(QR_PICTURE) == 2


def test_the_page_fetches_a_missing_qr_picture_again(site: Site, open_page: OpenPage) -> None:
    site.next(QR_PICTURE, error(404, "no_qr", "There is no QR now."), Answer(500))
    site.waiting(QR)
    page = open_page(site.url)
    expect(page.get_by_text(re.compile("New code in"))).to_be_visible()
    site.waiting(QR)  # the next status is new; a 304 would have the same effect
    expect_qr(page, QR)


@pytest.mark.parametrize("hours", [-7, 7])
def test_the_countdown_follows_the_server_s_clock(site: Site, open_page: OpenPage, hours: int) -> None:
    site.skew = timedelta(hours=hours)
    site.waiting(QR, seconds=600, left=900)
    page = open_page(site.url)
    expect(page.get_by_text(re.compile(r"New code in (5\d\d|60[01]) s"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"Time left: 1[345]:\d\d")).last).to_be_visible()


def test_a_double_click_makes_one_call(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    page.get_by_role("button", name="Connect WhatsApp").dblclick()
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()
    assert site.count(CONNECT) == 1


def test_a_double_click_does_not_press_the_next_button(site: Site, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url)
    page.get_by_role("button", name="Disconnect").dblclick()
    page.get_by_role("button", name="Yes, disconnect").dispatch_event(
        "click", {"detail": 2}
    )  # as if it were under the pointer
    polls(page, site)
    assert site.count(DISCONNECT) == 0


@pytest.mark.parametrize(
    ("paired", "button", "after"),
    [(False, "Connect WhatsApp", "connecting"), (True, "Cancel", "disconnected")],
    ids=["connect", "cancel"],
)
def test_a_status_answer_older_than_an_action_is_not_shown(
    site: Site, open_page: OpenPage, paired: bool, button: str, after: str
) -> None:
    if paired:
        site.waiting(QR)
    late = threading.Event()
    site.next(STATUS, Answer(200, site.status), Answer(200, site.status, held=late))
    page = open_page(site.url)
    if paired:
        expect_qr(page, QR)
    expect(page.get_by_role("button", name=button)).to_be_visible()
    _note_states(page)
    until(page, lambda: site.count(STATUS) == 2)
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("heading", name=HEADINGS[after])).to_be_visible()
    late.set()
    polls(page, site)
    assert page.evaluate("window.states") == [after]


@pytest.mark.parametrize("stage", ["connecting", "qr", "finishing"])
def test_cancel_shows_its_result_when_it_is_answered(site: Site, open_page: OpenPage, stage: str) -> None:
    if stage == "connecting":
        site.status = state("connecting", attempt=attempt(site.now(), 100))
    elif stage == "qr":
        site.waiting(QR)
    else:
        site.finishing()
    page = open_page(site.url)
    answered = threading.Event()
    site.next(DISCONNECT, Answer(200, {"success": True, "status": "disconnected"}, held=answered))
    page.get_by_role("button", name="Cancel").click()
    cancelling = page.get_by_role("button", name="Cancelling…")
    expect(cancelling).to_be_disabled()
    cancelling.click(force=True)  # must do nothing
    polls(page, site)
    expect(page.get_by_role("heading", name=HEADINGS[stage])).to_be_visible()
    site.status = cancelled()
    answered.set()
    expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()
    expect(page.get_by_text("The connection was cancelled.").last).to_be_visible()
    assert site.count(DISCONNECT) == 1


def test_a_failed_cancel_can_be_tried_again(site: Site, open_page: OpenPage) -> None:
    site.waiting(QR)
    page = open_page(site.url)
    site.next(DISCONNECT, error(503, "unavailable", "English only"))
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("The service is busy. Try again in a moment.")).to_be_visible()
    expect_qr(page, QR)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()


def test_the_page_shows_an_attempt_of_another_tab(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()
    site.status = state("connecting", attempt=attempt(site.now(), 100))
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()


def test_the_page_says_that_the_phone_unlinked_the_device(site: Site, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url)
    page.get_by_role("button", name="Disconnect").click()
    message = "This device was unlinked on your phone."
    site.status = state("disconnected", error={"code": "unlinked_from_phone", "message": message})
    expect(page.get_by_text(message).last).to_be_visible()
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


def _note_states(page: Page) -> None:
    """Let ``window.states`` list the states that the card shows from now on."""
    panels(page).evaluate("""(heading) => {
      window.states = [];
      const card = heading.closest("[data-state]");
      const note = () => window.states.push(card.dataset.state);
      new MutationObserver(note).observe(card, { attributeFilter: ["data-state"] });
    }""")
