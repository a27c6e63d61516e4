"""Languages, keyboard, small screens, contrast."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.system.browser.conftest import OpenPage, pass_time
from tests.system.browser.fakes import STATUS, Site, Supabase, attempt, disconnected, error, state
from tests.system.browser.parts import EVERY_ELEMENT, announcer, qr_bar, qr_frame, qr_picture, value_of
from tests.system.browser.steps import QR, expect_qr

UNLINKED = {"code": "unlinked_from_phone", "message": "This device was unlinked on your phone."}
LONG = "WhatsApp asks your account for a passkey to link devices, which does not work here. " * 2

STATES: dict[str, tuple[Callable[[Site], Any], str]] = {
    "disconnected": (lambda site: setattr(site, "status", disconnected()), "Connect your WhatsApp"),
    "connecting": (
        lambda site: setattr(site, "status", state("connecting", attempt=attempt(site.now(), 99))),
        "Getting your QR code…",
    ),
    "qr": (lambda site: site.waiting(QR), "Scan this code with WhatsApp"),
    "finishing": (lambda site: site.finishing(), "Scanned. Finishing on your phone…"),
    "connected": (lambda site: site.connect(), "+34 600 111 222"),
    "notice": (
        lambda site: site.waiting(QR, notice={"code": "new_qr", "message": LONG}),
        "Scan this code with WhatsApp",
    ),
    "error": (lambda site: site.fail("passkey_required", LONG), "WhatsApp is not connected"),
}

TOO_SMALL_FOR_A_THUMB = f"""() => ({EVERY_ELEMENT})(document.body).filter((e) => e.matches("button, input"))
  .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 44).map((e) => e.id)"""

# Every visible text against the colour behind it (WCAG 1.4.3, with the ratio 4.5 for all sizes).
POOR_CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement ?? e.getRootNode().host) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const own = (e) => [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return EVERY_ELEMENT(document.body).filter((e) => own(e) && e.checkVisibility()).map((e) => {
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    return { text: e.textContent.trim(), ratio: (a + 0.05) / (b + 0.05) };
  }).filter(({ ratio }) => ratio < 4.5).map(({ text, ratio }) => `${ratio.toFixed(2)} ${text}`);
}""".replace("EVERY_ELEMENT", f"({EVERY_ELEMENT})")


def test_every_state_fits_a_small_phone_and_is_readable(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url, viewport={"width": 320, "height": 568}, has_touch=True, is_mobile=True)
    for name, (prepare, heading) in STATES.items():
        prepare(site)
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        if name == "connected":
            page.get_by_role("button", name="Disconnect").click()
        assert_fits_and_is_readable(page, name)


def test_sign_in_fits_a_small_phone_and_is_readable(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url, viewport={"width": 320, "height": 568})
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert_fits_and_is_readable(page, "sign-in")


def test_the_second_factor_panel_fits_a_small_phone(site: Site, open_page: OpenPage) -> None:
    site.standing[STATUS] = error(403, "second_factor_required", "Sign in with your second factor.")
    page = open_page(site.url, viewport={"width": 320, "height": 568})
    expect(page.get_by_role("heading", name="Sign in with your second factor")).to_be_visible()
    assert_fits_and_is_readable(page, "second-factor")


def assert_fits_and_is_readable(page: Page, name: str) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, name
    assert page.evaluate(TOO_SMALL_FOR_A_THUMB) == [], name
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(POOR_CONTRAST) == [], (name, scheme)


def test_the_qr_stands_on_white_with_a_quiet_zone_in_dark_mode(site: Site, open_page: OpenPage) -> None:
    site.waiting(QR)
    page = open_page(site.url, color_scheme="dark")
    frame = qr_frame(page)
    expect(frame).to_have_css("background-color", "rgb(255, 255, 255)")
    expect(frame).to_have_css("padding-left", "12px")


@pytest.mark.parametrize(("locale", "language"), [("es-MX", "es"), ("en-US", "en"), ("fr-FR", "en")])
def test_the_page_uses_the_browser_s_language(site: Site, open_page: OpenPage, locale: str, language: str) -> None:
    page = open_page(site.url, locale=locale)
    name = {"es": "Conectar WhatsApp", "en": "Connect WhatsApp"}[language]
    expect(page.get_by_role("button", name=name)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", language)
    asked = next(request for request in site.requests if request.path == "/api/whatsapp/status")
    assert asked.headers["accept-language"].startswith(locale)


def test_every_step_of_a_pairing_is_in_spanish(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url, locale="es-ES")
    page.get_by_role("button", name="Conectar WhatsApp").click()
    expect(page.get_by_role("heading", name="Obteniendo tu código QR…")).to_be_visible()
    site.waiting(QR)
    expect(page.get_by_text("Código nuevo en")).to_be_visible()
    page.get_by_role("button", name="Escanear con el teléfono de pruebas").click()
    expect(page.get_by_role("heading", name="Escaneado. Terminando en tu teléfono…")).to_be_visible()
    site.connect(connectedAt="2026-07-27T08:04:00Z")
    expect(value_of(page, "Conectado desde")).to_contain_text("27 de julio de 2026")
    expect(value_of(page, "Conectado desde")).to_contain_text("10:04")
    expect(value_of(page, "Última actividad")).to_have_text("hace 4 minutos")


def test_both_languages_have_the_same_texts(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    used = page.locator("[data-text]").evaluate_all("(elements) => elements.map((element) => element.dataset.text)")
    assert used
    missing = page.evaluate(
        """async (used) => {
      const { strings: { en, es } } = await import("/home/settings/whatsapp/strings.js");
      const flat = (table, at = "") => Object.entries(table).flatMap(([key, value]) =>
        typeof value === "string"
          ? [`${at}${key} ${value.match(/\\{\\w+\\}/g) ?? ""}`]
          : flat(value, `${at}${key}.`));
      const [left, right] = [flat(en), flat(es)];
      const lacks = (from, to) => from.filter((key) => !to.includes(key));
      return [...lacks(left, right), ...lacks(right, left), ...lacks(used, Object.keys(en))];
    }""",
        used,
    )
    assert missing == []


def test_the_keyboard_alone_works_for_a_whole_pairing(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    _tab_to(page, "Connect WhatsApp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Getting your QR code…")).to_be_focused()
    site.waiting(QR)
    expect(page.get_by_role("heading", name="Scan this code with WhatsApp")).to_be_focused()
    _tab_to(page, "Scan with the sandbox phone")
    page.keyboard.press("Space")
    expect(page.get_by_role("heading", name="Scanned. Finishing on your phone…")).to_be_focused()
    site.connect()
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_focused()
    _tab_to(page, "Disconnect")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep connected")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Disconnect")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_focused()


def test_the_focus_ring_shows_for_the_keyboard_only(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    heading = page.get_by_role("heading", name="Getting your QR code…")
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    _tab_to(page, "Connect WhatsApp")
    page.keyboard.press("Enter")
    expect(heading).to_be_focused()
    expect(heading).to_have_css("outline-style", "solid")
    _tab_to(page, "Cancel")
    page.keyboard.press("Enter")
    page.mouse.click(1, 1)
    page.get_by_role("button", name="Connect WhatsApp").click()
    expect(heading).to_be_focused()
    expect(heading).to_have_css("outline-style", "none")


def test_a_change_is_announced_and_does_not_move_the_focus(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    site.fail("qr_timeout", "WhatsApp did not send a QR code in time.")
    said = announcer(page)
    expect(said).to_have_text("WhatsApp is not connected WhatsApp did not send a QR code in time.")
    assert page.evaluate("document.activeElement === document.body")


def test_the_reason_of_a_disconnect_is_announced(site: Site, open_page: OpenPage) -> None:
    site.connect()
    page = open_page(site.url)
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    site.status = state("disconnected", error=UNLINKED)
    said = announcer(page)
    expect(said).to_have_text("Connect your WhatsApp This device was unlinked on your phone.")
    site.connect()
    page.get_by_role("button", name="Disconnect").focus()
    site.status = state("disconnected", error=UNLINKED)
    expect(
        page.get_by_role("heading", name="Connect your WhatsApp")
    ).to_be_focused()  # a screen reader reads the focused heading
    expect(said).to_have_text("This device was unlinked on your phone.")


def test_a_reason_that_comes_late_is_announced_each_time(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    said = announcer(page)
    for _ in range(2):
        page.get_by_role("button", name="Connect WhatsApp").click()
        page.get_by_role("button", name="Cancel").click()
        expect(said).to_have_text("The connection was cancelled.")


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("en-GB", r"^Time left to scan the code: (\d+) seconds\.$"),
        ("es-ES", r"^Tiempo restante para escanear el código: (\d+) segundos\.$"),
    ],
    ids=["en", "es"],
)
def test_the_last_half_minute_is_announced_once(site: Site, open_page: OpenPage, locale: str, words: str) -> None:
    page = open_page(site.url, locale=locale, clock=site)
    expect(page.get_by_role("button", name=re.compile("Connect|Conectar"))).to_be_visible()
    site.waiting(QR, left=90)
    pass_time(page, site, 1)
    expect(qr_picture(page)).to_be_visible()
    said = announcer(page)
    said.evaluate("""(line) => {
      window.said = [];
      new MutationObserver(() => window.said.push(line.textContent)).observe(line, { childList: true });
    }""")
    second = QR.replace("aFirstRef", "aSecondRef")
    site.status |= {"qr": second}  # a new QR in the same window, after the announcement
    pass_time(page, site, 61)
    expect(said).to_have_text(re.compile(words.replace(r"\d+", "28")))
    expect_qr(page, second)  # this draws twice: for the status and for the picture
    assert len([text for text in page.evaluate("window.said") if re.match(words, text)]) == 1
    page.evaluate("window.said = []")
    site.waiting(QR, left=25)  # another attempt, near the end of its window
    pass_time(page, site, 1)
    page.wait_for_function("(words) => window.said.some((text) => new RegExp(words).test(text))", arg=words)


def test_reduced_motion_stops_the_animation(site: Site, open_page: OpenPage) -> None:
    site.waiting(QR)
    page = open_page(site.url, reduced_motion="reduce")
    expect(qr_bar(page)).to_have_css("transition-duration", "0s")


# The text of the element with the focus, also of one in a shadow root.
FOCUSED_TEXT = """() => {
  let focused = document.activeElement;
  while (focused.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
  return focused.textContent;
}"""


def _tab_to(page: Page, name: str) -> None:
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED_TEXT) == name:
            return
    raise AssertionError(f"Tab does not reach {name!r}")
