"""Every state of the settings page, in Chromium."""

from __future__ import annotations

import io
import re
import threading
from datetime import timedelta

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from .conftest import OpenPage, pass_time, polls, until
from .fakes import CONNECT, DISCONNECT, QR_PICTURE, STATUS, Site, attempt, cancelled, error, state
from .server import Answer

QR = "https://wa.me/settings/linked_devices#2@aFirstRef/0123456789abcdef,Zm9v,YmFy,YmF6,1"
OTHER = QR.replace("aFirstRef", "aSecondRef")


def on_screen(page: Page) -> list[str]:
    """The texts of the QR codes that a camera in front of the screen would read."""
    picture = Image.open(io.BytesIO(page.locator("#qr-frame").screenshot())).convert("L")
    return [code.text for code in zxingcpp.read_barcodes(picture)]


def expect_qr(page: Page, text: str) -> None:
    expect(page.locator("#qr")).to_be_visible()
    expect(page.locator("#qr-frame")).not_to_have_class(re.compile("stale"))
    page.locator("#qr").evaluate("(image) => image.decode()")
    assert on_screen(page) == [text]


class TestPairing:
    def test_from_the_button_to_connected_and_back(self, site: Site, open_page: OpenPage) -> None:
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
        expect(page.locator("#last-seen")).to_have_text("4 minutes ago")
        expect(page.locator("#sent")).to_have_text("1,284")
        page.get_by_role("button", name="Disconnect").click()
        assert site.count(DISCONNECT) == 0
        page.get_by_role("button", name="Yes, disconnect").click()
        expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()
        assert (site.count(CONNECT), site.count(DISCONNECT)) == (1, 1)

    def test_sandbox_phone_gets_the_qr_and_the_number(self, site: Site, open_page: OpenPage) -> None:
        site.waiting(QR)
        page = open_page(site.url)
        page.get_by_label("Number of the sandbox phone").fill("4915112345678")
        page.get_by_role("button", name="Scan with the sandbox phone").click()
        expect(page.get_by_role("heading", name="Scanned. Finishing on your phone…")).to_be_visible()
        scan = next(request for request in site.requests if request.path == "/dev/phone/scan")
        assert scan.body == {"qr": QR, "number": "4915112345678"}

    def test_no_sandbox_phone_with_the_real_whatsapp(self, site: Site, open_page: OpenPage) -> None:
        site.development = {"whatsapp": "live", "sandboxPhone": False}
        site.waiting(QR)
        page = open_page(site.url)
        expect_qr(page, QR)
        expect(page.locator("#sandbox")).to_be_hidden()

    def test_qr_follows_its_rotation(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(site.url)
        site.waiting(QR)
        expect_qr(page, QR)
        site.waiting(QR, seconds=0)
        expect(page.get_by_text("Getting a new code…")).to_be_visible()
        assert on_screen(page) == []  # nobody should scan a code that is over
        site.waiting(OTHER)
        expect(page.get_by_text(re.compile(r"New code in \d+ s"))).to_be_visible()
        expect_qr(page, OTHER)
        assert site.count(QR_PICTURE) == 2

    def test_qr_that_is_gone_when_asked_for_is_asked_again(self, site: Site, open_page: OpenPage) -> None:
        site.next(QR_PICTURE, error(404, "no_qr", "There is no QR now."), Answer(500))
        site.waiting(QR)
        page = open_page(site.url)
        expect(page.get_by_text(re.compile("New code in"))).to_be_visible()
        site.waiting(QR)  # a 304 would do as well: the status is asked for again in any case
        expect_qr(page, QR)

    @pytest.mark.parametrize("hours", [-7, 7])
    def test_countdown_goes_by_the_servers_clock(self, site: Site, open_page: OpenPage, hours: int) -> None:
        site.skew = timedelta(hours=hours)
        site.waiting(QR, seconds=600, left=900)
        page = open_page(site.url)
        expect(page.get_by_text(re.compile(r"New code in (5\d\d|60[01]) s"))).to_be_visible()
        expect(page.get_by_text(re.compile(r"Time left: 1[345]:\d\d")).last).to_be_visible()

    def test_two_clicks_are_one_call(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(site.url)
        page.get_by_role("button", name="Connect WhatsApp").dblclick()
        expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()
        assert site.count(CONNECT) == 1

    def test_double_click_does_not_press_the_next_button(self, site: Site, open_page: OpenPage) -> None:
        site.connect()
        page = open_page(site.url)
        page.get_by_role("button", name="Disconnect").dblclick()
        page.locator("#confirm-yes").dispatch_event("click", {"detail": 2})  # had it been under the pointer
        polls(page, site)
        assert site.count(DISCONNECT) == 0

    @pytest.mark.parametrize(
        ("paired", "button", "after"),
        [(False, "Connect WhatsApp", "connecting"), (True, "Cancel", "disconnected")],
        ids=["connect", "cancel"],
    )
    def test_answer_older_than_an_action_is_not_shown(
        self, site: Site, open_page: OpenPage, paired: bool, button: str, after: str
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
        expect(page.locator("#card")).to_have_attribute("data-state", after)
        late.set()
        polls(page, site)
        assert page.evaluate("window.states") == [after]

    @pytest.mark.parametrize("stage", ["connecting", "qr", "finishing"])
    def test_cancel_is_over_when_it_is_answered(self, site: Site, open_page: OpenPage, stage: str) -> None:
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
        cancelling.click(force=True)  # does nothing
        polls(page, site)
        expect(page.locator("#card")).to_have_attribute("data-state", stage)
        site.status = cancelled()
        answered.set()
        expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()
        expect(page.get_by_text("The connection was cancelled.").last).to_be_visible()
        assert site.count(DISCONNECT) == 1

    def test_cancel_that_fails_can_be_tried_again(self, site: Site, open_page: OpenPage) -> None:
        site.waiting(QR)
        page = open_page(site.url)
        site.next(DISCONNECT, error(503, "unavailable", "English only"))
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("The service is busy. Try again in a moment.")).to_be_visible()
        expect_qr(page, QR)
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()

    def test_attempt_of_another_tab_shows_here(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(site.url)
        expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()
        site.status = state("connecting", attempt=attempt(site.now(), 100))
        expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()

    def test_unlinked_from_the_phone_says_so(self, site: Site, open_page: OpenPage) -> None:
        site.connect()
        page = open_page(site.url)
        page.get_by_role("button", name="Disconnect").click()
        message = "This device was unlinked on your phone."
        site.status = state("disconnected", error={"code": "unlinked_from_phone", "message": message})
        expect(page.get_by_text(message).last).to_be_visible()
        expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


class TestTrouble:
    def test_error_has_its_reason_and_a_retry(self, site: Site, open_page: OpenPage) -> None:
        site.fail("qr_timeout", "WhatsApp did not send a QR code in time. Please try again.")
        page = open_page(site.url)
        expect(page.get_by_text("WhatsApp did not send a QR code in time.").last).to_be_visible()
        expect(page.get_by_text("Code: qr_timeout")).to_be_visible()
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_visible()

    def test_pause_between_attempts_is_counted_down(self, site: Site, open_page: OpenPage) -> None:
        site.fail("scan_timeout", "The QR code was not scanned in time.")
        site.next(CONNECT, error(429, "too_soon", "Too soon.", Retry_After="60"))
        page = open_page(site.url, clock=True)
        page.get_by_role("button", name="Try again").click()
        waiting = page.get_by_role("button", name=re.compile(r"Try again in \d+ s"))
        expect(waiting).to_be_visible()
        waiting.click(force=True)  # does nothing
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
    def test_long_pause_is_in_minutes(
        self, site: Site, open_page: OpenPage, locale: str, idle: str, waiting: str, notice: str
    ) -> None:
        site.next(CONNECT, error(429, "too_soon", "Too soon.", Retry_After="3600"))
        page = open_page(site.url, locale=locale)
        page.get_by_role("button", name=idle).click()
        expect(page.get_by_role("button", name=re.compile(waiting))).to_be_disabled()
        expect(page.get_by_role("alert")).to_contain_text(notice)

    def test_last_minute_of_a_pause_is_in_seconds(self, site: Site, open_page: OpenPage) -> None:
        site.fail("scan_timeout", "The QR code was not scanned in time.")
        site.next(CONNECT, error(429, "too_soon", "Too soon.", Retry_After="119"))
        page = open_page(site.url, clock=True)
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("button", name=re.compile(r"^Try again in 1:\d\d$"))).to_be_visible()
        pass_time(page, site, 60)
        expect(page.get_by_role("button", name=re.compile(r"^Try again in \d+ s$"))).to_be_visible()

    def test_full_house_says_so_and_when_to_try_again(self, site: Site, open_page: OpenPage) -> None:
        message = "Many people are connecting right now. Try again in a moment."
        site.next(CONNECT, error(503, "at_capacity", "English only", Retry_After="30"))
        page = open_page(site.url)
        page.get_by_role("button", name="Connect WhatsApp").click()
        expect(page.get_by_text(message)).to_be_visible()
        expect(page.get_by_role("button", name=re.compile(r"Connect in \d+ s"))).to_be_visible()

    def test_lost_connection_is_said_and_mended(self, site: Site, open_page: OpenPage) -> None:
        site.connect()
        page = open_page(site.url)
        expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
        site.broken = True
        expect(page.get_by_text("No connection. Trying again…")).to_be_visible()
        expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
        site.broken = False
        expect(page.get_by_text("No connection. Trying again…")).to_be_hidden()

    def test_action_without_connection_promises_nothing(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(site.url)
        expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
        site.broken = True
        page.get_by_role("button", name="Connect WhatsApp").click()
        expect(page.locator("#network")).to_have_text(
            "No connection. Trying again… This page is checking whether your click worked…"
        )
        site.broken = False
        expect(page.locator("#network")).to_be_hidden()
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
    def test_lost_answer_is_found_out_about(
        self, site: Site, open_page: OpenPage, locale: str, button: str, said: str
    ) -> None:
        site.status["pollAfterMs"] = 60_000  # so that nothing but the click shows the QR
        page = open_page(site.url, locale=locale)
        expect(page.get_by_role("button", name=button)).to_be_visible()
        site.standing[CONNECT] = Answer(202, lost=True)  # each time: Chromium itself asks again on a new connection
        site.waiting(QR)  # the server has done it
        page.get_by_role("button", name=button).click()
        expect(page.locator("#network")).to_contain_text(said)
        expect_qr(page, QR)
        expect(page.locator("#network")).to_be_hidden()

    def test_no_answer_in_time_is_no_answer(self, site: Site, open_page: OpenPage) -> None:
        page = open_page(site.url, clock=True)
        expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
        never = threading.Event()
        site.next(CONNECT, Answer(202, site.status, held=never))
        page.get_by_role("button", name="Connect WhatsApp").click()
        until(page, lambda: site.count(CONNECT) == 1)
        site.standing[STATUS] = Answer(200, site.status, held=never)
        pass_time(page, site, 21)
        expect(page.locator("#network")).to_contain_text("This page is checking whether your click worked…")
        never.set()

    def test_server_without_sense_is_waited_for(self, site: Site, open_page: OpenPage) -> None:
        site.next(STATUS, Answer(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}))
        page = open_page(site.url)
        expect(page.get_by_text("The server is not answering properly.")).to_be_visible()
        expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()

    def test_hostile_text_stays_text(self, site: Site, open_page: OpenPage) -> None:
        site.fail("internal", "<img src=x onerror=alert(1)>")
        page = open_page(site.url)
        expect(page.locator("#error-message")).to_have_text("<img src=x onerror=alert(1)>")


def _note_states(page: Page) -> None:
    """Let ``window.states`` list the states that the card shows from now on."""
    page.evaluate("""() => {
      window.states = [];
      const note = () => window.states.push(card.dataset.state);
      new MutationObserver(note).observe(card, { attributeFilter: ["data-state"] });
    }""")
