"""Browsers that lack a feature, deny storage or name odd languages; and a page that fails."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.system.browser.conftest import ARGUMENTS, PATIENCE_SECONDS, OpenPage, installed, polls, until
from tests.system.browser.fakes import DISCONNECT, STATUS, Site, Supabase
from tests.system.browser.parts import failure_line, network_line, qr_picture, value_of
from tests.system.browser.steps import QR, REFRESH, expect_qr, sign_in

WORDS = {
    "en": ("Connect WhatsApp", "Getting your QR code…", "Finishing", "Messages sent", "Disconnect", "Yes, disconnect"),
    "es": (
        "Conectar WhatsApp",
        "Obteniendo tu código QR…",
        "Terminando",
        "Mensajes enviados",
        "Desconectar",
        "Sí, desconectar",
    ),
}


def from_the_button_to_connected_and_back(page: Page, site: Site, language: str = "en") -> None:
    """Connect and disconnect in a browser with a fault."""
    connect, getting, finishing, sent, disconnect, sure = WORDS[language]
    page.get_by_role("button", name=connect).click()
    expect(page.get_by_role("heading", name=getting)).to_be_visible()
    site.waiting(QR, left=29)  # so that the last half minute is announced too
    expect(qr_picture(page)).to_be_visible()
    site.waiting(QR)
    expect_qr(page, QR)
    site.finishing()
    expect(page.get_by_text(finishing, exact=True)).to_be_visible()
    site.connect()
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    expect(value_of(page, sent)).to_contain_text("1")
    expect(failure_line(page)).to_be_hidden()
    expect(network_line(page)).to_be_hidden()
    page.get_by_role("button", name=disconnect, exact=True).click()
    page.get_by_role("button", name=sure).click()
    expect(page.get_by_role("button", name=connect)).to_be_visible()


# ── languages ──

TOLD = {
    "posix": (["en-US@posix"], "en"),
    "underscore": (["en_US"], "en"),
    "unix": (["es_MX.UTF-8"], "es"),
    "euro": (["es_ES@euro", "en"], "es"),
    "C": (["C"], "en"),
    "C.UTF-8": (["C.UTF-8", "es"], "es"),
    "empty": ([""], "en"),
    "empty-first": (["", "es-ES"], "es"),
    "none": ([], "en"),
    "null": (None, "en"),
    "undefined": ([None, "es-AR"], "es"),
    "number": ([7, {}, "es"], "es"),
    "star": (["*", "es"], "es"),
    "broken": (["es-", "en"], "es"),
    "too-long": (["es-abcdefghijkl-US"], "es"),
    "spaces": ([" es-ES "], "es"),
    "prototype": (["constructor", "es"], "es"),
    "word": (["english"], "en"),
    "three-letters": (["est", "spa"], "es"),
    "digits": (["en-US-u-nu-arab-ca-buddhist"], "en"),
    "private": (["x-none", "es-x-none"], "es"),
}


def test_malformed_language_names_choose_a_language(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    for name, (told, language) in TOLD.items():
        told_of = json.dumps(told or []).replace("[null", "[undefined")
        chosen = page.evaluate(f"""async () => {{
          const {{ pickLanguage }} = await import("/home/settings/whatsapp/strings.js");
          const {{ language, locale }} = pickLanguage({told_of});
          new Intl.DateTimeFormat(locale); // throws on a name that is no language
          return language;
        }}""")
        assert chosen == language, name


@pytest.mark.parametrize("told", ["['es_MX.UTF-8@euro']", "[]", "null", "undefined"])
def test_malformed_language_names_break_nothing(site: Site, open_page: OpenPage, told: str) -> None:
    script = f"Object.defineProperty(Navigator.prototype, 'languages', {{ get: () => ({told}) }})"
    page = open_page(site.url, script=script)
    site.connect()
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "es" if "es" in told else "en")
    term = "Conectado desde" if "es" in told else "Connected since"
    expect(value_of(page, term)).not_to_be_empty()
    expect(failure_line(page)).to_be_hidden()
    page.reload()
    expect(page.get_by_role("button", name="Desconectar" if "es" in told else "Disconnect")).to_be_visible()


@pytest.mark.parametrize("told", ["[]", "null", "undefined"])
def test_a_browser_with_only_one_language_is_understood(site: Site, open_page: OpenPage, told: str) -> None:
    script = f"""Object.defineProperties(Navigator.prototype, {{
      languages: {{ get: () => ({told}) }}, language: {{ get: () => "es" }} }})"""
    page = open_page(site.url, script=script)
    expect(page.get_by_role("button", name="Conectar WhatsApp")).to_be_visible()


def test_chromium_with_a_malformed_language_completes_a_pairing(site: Site, chromium: Browser) -> None:
    flag = "--accept-lang=en-US@posix"
    browser = chromium.browser_type.launch(executable_path=installed(), args=[*ARGUMENTS, flag])
    try:
        context = browser.new_context()
        context.set_default_timeout(1000 * PATIENCE_SECONDS)
        page = context.new_page()
        page.goto(site.url)
        from_the_button_to_connected_and_back(page, site)
    finally:
        browser.close()


# ── storage ──

DENIED = {
    "no-access": """for (const name of ["sessionStorage", "localStorage"]) {
      Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });
    }""",
    "absent": """for (const name of ["sessionStorage", "localStorage"]) {
      Object.defineProperty(window, name, { get: () => null });
    }""",
    "full": "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }",
    "unreadable": "Storage.prototype.getItem = () => { throw new DOMException('denied', 'SecurityError'); }",
    "all": """for (const name of ["getItem", "setItem", "removeItem", "clear", "key"]) {
      Storage.prototype[name] = () => { throw new DOMException("denied", "SecurityError"); };
    }""",
}


@pytest.mark.parametrize("script", DENIED.values(), ids=DENIED)
def test_sign_in_works_without_storage(site: Site, supabase: Supabase, open_page: OpenPage, script: str) -> None:
    page = open_page(site.url, script=script)
    sign_in(page)
    from_the_button_to_connected_and_back(page, site)
    site.tokens.clear()
    until(page, lambda: supabase.count(REFRESH) == 1)
    polls(page, site)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("script", [DENIED["no-access"], DENIED["full"]], ids=["no-access", "full"])
def test_the_development_user_stays_without_storage(site: Site, open_page: OpenPage, script: str) -> None:
    page = open_page(site.url, script=script)
    from_the_button_to_connected_and_back(page, site)
    site.tokens.clear()  # now the page asks for another token for the same user
    until(page, lambda: site.count("POST /dev/token") > 1)
    assert [one.body for one in site.requests if one.path == "/dev/token"][1] == {"userId": "user-1"}
    site.tokens.add("development")


def test_a_full_disk_does_not_restore_old_tokens(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    page.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('full'); }; }")
    site.tokens.clear()
    until(page, lambda: supabase.count(REFRESH) == 1)
    polls(page, site)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


# ── the oldest browsers: Safari 15, Chrome 102, Firefox 110 ──

LACKING = """
const lacks = (owner, ...names) => names.forEach((name) => { delete owner[name]; });
lacks(AbortSignal, "timeout", "any", "abort");
lacks(AbortSignal.prototype, "reason", "throwIfAborted");
lacks(Array, "fromAsync");
lacks(Array.prototype, "at", "findLast", "findLastIndex", "group", "toReversed", "toSorted", "toSpliced", "with");
lacks(Crypto.prototype, "randomUUID");
lacks(Element.prototype, "checkVisibility", "setHTMLUnsafe", "getHTML");
lacks(HTMLElement.prototype, "inert", "popover", "showPopover", "hidePopover", "togglePopover");
lacks(HTMLImageElement.prototype, "fetchPriority");
lacks(Iterator.prototype, "map", "filter", "find", "toArray", "some");
lacks(Map, "groupBy");
lacks(Object, "hasOwn", "groupBy");
lacks(Promise, "withResolvers", "try");
lacks(RegExp, "escape");
lacks(Response, "json");
lacks(Set.prototype, "union", "difference", "intersection", "isSubsetOf");
lacks(String.prototype, "at", "isWellFormed", "toWellFormed");
lacks(URL, "canParse", "parse");
lacks(window, "BroadcastChannel", "HTMLDialogElement", "navigation", "reportError", "scheduler", "structuredClone",
      "trustedTypes", "cookieStore", "CompressionStream", "Temporal");
lacks(Navigator.prototype, "userAgentData", "locks");
"""


def test_the_oldest_browser_completes_a_pairing(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url, script=LACKING)
    assert (
        page.evaluate("[typeof AbortSignal.timeout, typeof BroadcastChannel, typeof Object.hasOwn]")
        == ["undefined"] * 3
    )
    sign_in(page)
    from_the_button_to_connected_and_back(page, site)
    site.tokens.clear()
    until(page, lambda: supabase.count(REFRESH) == 1)
    polls(page, site)
    page.reload()
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


# ── the page itself fails ──

THROWS = "{ throw new RangeError('this browser is odd'); }"
ODD = {
    "dates": f"Intl.DateTimeFormat = function () {THROWS}; Intl.DateTimeFormat.supportedLocalesOf = () => ['en'];",
    "numbers": f"Intl.NumberFormat = function () {THROWS};",
    "ages": f"Intl.RelativeTimeFormat = function () {THROWS};",
    "elements": f"Object.defineProperty(HTMLTimeElement.prototype, 'dateTime', {{ set() {THROWS} }});",
    "intl": "Intl = undefined;",
}


@pytest.mark.parametrize("script", ODD.values(), ids=ODD)
def test_a_page_that_cannot_draw_says_so_and_stays_usable(site: Site, bare: Page, script: str) -> None:
    site.connect()
    bare.add_init_script(script)
    bare.goto(site.url)
    expect(bare.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    failed = bare.get_by_text("This page has failed. Reload it.")
    expect(failed).to_be_visible()
    polls(bare, site)
    expect(network_line(bare)).to_be_hidden()  # the server is not to blame
    bare.get_by_role("button", name="Disconnect").click()
    bare.get_by_role("button", name="Yes, disconnect").click()
    expect(bare.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()
    assert site.count(DISCONNECT) == 1
    expect(failed).to_be_hidden()


def test_a_page_that_fails_says_so_in_spanish(site: Site, chromium: Browser) -> None:
    site.connect()
    with chromium.new_context(locale="es-ES") as context:
        page = context.new_page()
        page.add_init_script(ODD["numbers"])
        page.goto(site.url)
        expect(page.get_by_role("alert")).to_contain_text("Esta página ha fallado. Vuelve a cargarla.")
        expect(page.get_by_role("button", name="Desconectar")).to_be_visible()


def test_a_failure_outside_drawing_is_shown_too(site: Site, bare: Page) -> None:
    site.waiting(QR)
    bare.add_init_script(f"URL.createObjectURL = () => {THROWS}")
    bare.goto(site.url)
    expect(bare.get_by_text("This page has failed. Reload it.")).to_be_visible()
    expect(network_line(bare)).to_be_hidden()
    bare.get_by_role("button", name="Cancel").click()
    expect(bare.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()


@pytest.mark.parametrize("name", ["app.js", "strings.js", "net.js"])
def test_a_page_that_does_not_start_says_so(site: Site, bare: Page, name: str) -> None:
    bare.route(f"**/{name}", lambda route: route.abort())
    bare.goto(site.url)
    note = failure_line(bare)
    expect(note).to_be_hidden()  # for the first ten seconds
    note.evaluate("(line) => line.getAnimations().forEach((one) => one.finish())")
    expect(note).to_be_visible()
    expect(note).to_contain_text("This page has not started.")
    expect(note).to_contain_text("Esta página no se ha iniciado.")
    assert site.count(STATUS) == 0
