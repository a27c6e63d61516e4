"""Sign-in against Supabase Auth, as on AWS."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .conftest import OpenPage
from .fakes import Answer, Site, Supabase, disconnected, error

TOKEN = "/auth/v1/token?grant_type="


def sign_in(page: Page, password: str = "correct horse") -> None:
    page.get_by_label("E-mail").fill("ana@example.com")
    page.get_by_label("Password").fill(password)
    page.get_by_label("Password").press("Enter")


def stored(page: Page) -> tuple[int, int]:
    """How many things the page keeps: in the tab, in the profile."""
    sizes: list[int] = page.evaluate("[sessionStorage.length, localStorage.length]")
    return sizes[0], sizes[1]


def test_sign_in_use_reload_sign_out(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    login = next(request for request in supabase.requests if request.method == "POST")
    assert (login.path, login.headers["apikey"]) == (TOKEN + "password", "anon-key")
    assert login.body == {"email": "ana@example.com", "password": "correct horse"}
    assert stored(page) == (1, 0)
    assert page.url == site.url
    assert not any("access-" in request.path for request in site.requests)
    page.reload()
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_be_focused()
    assert page.get_by_label("Password").input_value() == ""
    assert stored(page) == (0, 0)
    page.wait_for_timeout(300)
    out = [request for request in supabase.requests if "/logout" in request.path and request.method == "POST"]
    assert [request.headers["authorization"] for request in out] == ["Bearer access-1"]
    assert not any(request.path.startswith("/dev/") for request in site.requests)
    expect(page.get_by_text("Your session has ended.")).to_be_hidden()


def test_what_is_answered_after_the_sign_out_is_nobodys(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in(page)
    page.get_by_role("button", name="Connect WhatsApp").wait_for()
    site.waiting("the first person's")
    site.next("POST /api/whatsapp/connect", Answer(200, site.status, delay=1.5))
    with page.expect_response("**/api/whatsapp/connect"):
        page.get_by_role("button", name="Connect WhatsApp").click()
        page.get_by_role("button", name="Sign out").click()
        site.status = disconnected()
        site.next("GET /api/whatsapp/status", Answer(200, site.status, delay=3))
        sign_in(page)  # at once: the next person need not wait for that answer
        expect(page.get_by_text("Loading")).to_be_visible()
    page.wait_for_timeout(300)
    expect(page.get_by_role("heading", name="Scan")).to_be_hidden()
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


def test_tokens_end_with_the_tab(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    other = page.context.new_page()
    other.goto(site.url)
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


def test_wrong_password_and_trouble(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_have_text("The e-mail or the password is wrong.")
    cors = {"Access-Control-Allow-Origin": "*"}
    supabase.next(f"POST {TOKEN}".partition("?")[0], Answer(429, {}, cors))
    sign_in(page)
    expect(page.get_by_role("alert")).to_have_text("Too many tries. Wait a moment and try again.")
    supabase.broken = True
    sign_in(page)
    expect(page.get_by_role("alert")).to_contain_text("No connection")
    supabase.broken = False
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_token_is_renewed_before_it_expires(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    supabase.expires_in = 30  # inside the margin: due at once
    page = open_page(site.url)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    used = {request.headers["authorization"] for request in site.requests if request.path.startswith("/api/")}
    assert used
    assert "Bearer access-1" not in used
    assert supabase.count(f"POST {TOKEN}refresh_token") >= 1


def test_refused_token_is_renewed_once(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    site.tokens.clear()  # revoked; the refresh token still works
    page.wait_for_timeout(400)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    assert supabase.count(f"POST {TOKEN}refresh_token") == 1


def test_session_that_has_ended_asks_to_sign_in(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    supabase.next(f"POST {TOKEN}".partition("?")[0], Answer(400, {}, {"Access-Control-Allow-Origin": "*"}))
    site.tokens.clear()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.get_by_text("Your session has ended. Sign in again.")).to_be_visible()
    assert stored(page) == (0, 0)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


def test_refusal_of_every_token_does_not_loop(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    refused = [error(401, "unauthorized", "Sign in.")] * 2
    site.next("GET /api/whatsapp/status", *refused)
    sign_in(page)
    expect(page.get_by_text("Your session has ended. Sign in again.")).to_be_visible()
    page.wait_for_timeout(300)
    assert site.count("GET /api/whatsapp/status") == 2


def test_nothing_to_sign_in_with(site: Site, open_page: OpenPage) -> None:
    site.development = None
    page = open_page(site.url)
    expect(page.get_by_role("heading", name="Sign-in is not configured: set SupabaseAnonKey")).to_be_visible()
    assert not any(request.path.startswith("/api/") for request in site.requests)
