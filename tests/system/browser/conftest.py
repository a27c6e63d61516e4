"""A real Chromium. In every page, the tests watch for CSP violations, errors and requests to other hosts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.system.browser.fakes import PAGE, STATUS, Site, Supabase

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WATCH_POLICY = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
"""
OpenPage = Callable[..., Page]

# No test measures time. This limit only says how long a test waits before it fails.
PATIENCE_SECONDS = 60
expect.set_options(timeout=1000 * PATIENCE_SECONDS)


def until(page: Page, condition: Callable[[], object]) -> None:
    """Let the page go on until the test's condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition does not come true"
        page.wait_for_timeout(20)


def polls(page: Page, site: Site, count: int = 2) -> None:
    """Let the page ask for the status some more times. By then, every effect of the last step has come."""
    wanted = site.count(STATUS) + count
    until(page, lambda: site.count(STATUS) >= wanted)


def stop_clocks(page: Page, site: Site) -> None:
    """Stop the clocks of the page and of the server at the same time. `pass_time` moves both.

    Then a slow machine changes nothing on the page: no timer fires, and no text disappears by itself.
    """
    site.stop_clock()
    page.clock.install(time=site.now() - timedelta(days=1))
    page.clock.pause_at(site.now())


def pass_time(page: Page, site: Site, seconds: float) -> None:
    """Move the stopped clocks. Each timer that is due by then fires once.

    The page plans its next request when it gets the last answer. Therefore wait first for what that answer shows.
    """
    site.skew += timedelta(seconds=seconds)
    page.clock.fast_forward(1000 * seconds)


def installed() -> str | None:
    """The path of the machine's own Chromium."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium, headless."""
    if not installed():
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed(), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """Open an address in a fresh browser profile: ``open_page(url, locale="es-ES", viewport=…)``.

    ``script`` runs before the page's own scripts, for example to remove a feature of the browser. With ``clock=site``,
    time stands still on the page and on the site until the test moves it (`stop_clocks`).

    At the end of the test, `_watch` must have found no problem.
    """
    contexts = []
    problems: list[str] = []

    def visit(url: str, *, script: str = "", clock: Site | None = None, **options: Any) -> Page:
        context = chromium.new_context(**({"locale": "en-GB", "timezone_id": "Europe/Madrid"} | options))
        contexts.append(context)
        context.set_default_timeout(1000 * PATIENCE_SECONDS)
        context.add_init_script(WATCH_POLICY)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        if clock:
            stop_clocks(page, clock)
        _watch(page, urlsplit(url).hostname, problems)
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def bare(chromium: Browser) -> Iterator[Page]:
    """A page that is not watched, for tests in which the console must show errors."""
    with chromium.new_context(locale="en-GB", timezone_id="Europe/Madrid") as context:
        context.set_default_timeout(1000 * PATIENCE_SECONDS)
        yield context.new_page()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The page in a local system with the sandbox."""
    monkeypatch.delenv("SUPABASE_ANON_KEY", raising=False)
    monkeypatch.delenv("SUPABASE_URL", raising=False)
    monkeypatch.delenv("FRAME_ANCESTORS", raising=False)
    server = Site()
    yield server
    server.close()


@pytest.fixture
def supabase(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supabase]:
    """The page as on AWS: sign-in against Supabase, and no development helpers."""
    site.development = None
    server = Supabase(site)
    monkeypatch.setenv("SUPABASE_URL", server.origin)
    monkeypatch.setenv("SUPABASE_ANON_KEY", "anon-key")
    yield server
    server.close()


def _watch(page: Page, host: str | None, problems: list[str]) -> None:
    """Collect the errors and warnings of the console, and requests to other hosts.

    Chromium also writes each refused API call to the console. That is no fault of the page, but a missing file is.
    """

    def console(message: ConsoleMessage) -> None:
        noted = message.text.startswith("Failed to load resource")
        own = urlsplit(message.location.get("url", "")).path.startswith(PAGE)
        if message.type in ("error", "warning") and not (noted and not own):
            problems.append(f"{message.type}: {message.text}")

    def request(sent: Request) -> None:
        target = urlsplit(sent.url)
        if target.scheme not in ("blob", "data") and target.hostname != host:
            problems.append(f"other host: {sent.url}")

    page.on("console", console)
    page.on("request", request)
    page.on("pageerror", lambda error: problems.append(f"uncaught: {error}"))
