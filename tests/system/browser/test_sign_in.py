"""Sign-in against Supabase Auth, as on AWS."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import Page, expect

from tests.system.browser.conftest import OpenPage, pass_time, polls, until
from tests.system.browser.fakes import STATUS, TOKEN, Site, Supabase, auth_error, error
from tests.system.browser.parts import alerts, network_line, spinners, value_of
from tests.system.browser.server import Answer
from tests.system.browser.steps import REFRESH, assert_only_marks, late, sign_in


def stored(page: Page) -> tuple[int, int]:
    """How many items the page keeps in the tab and in the profile."""
    sizes: list[int] = page.evaluate("[sessionStorage.length, localStorage.length]")
    return sizes[0], sizes[1]


def test_a_sign_in_survives_a_reload_and_ends_with_sign_out(
    site: Site, supabase: Supabase, open_page: OpenPage
) -> None:
    page = open_page(site.url)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    login = next(request for request in supabase.requests if request.method == "POST")
    assert (login.path, login.headers["apikey"]) == ("/auth/v1/token?grant_type=password", "anon-key")
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
    assert page.evaluate("sessionStorage.length") == 0
    assert_only_marks(page)
    until(page, lambda: supabase.count("POST /auth/v1/logout?scope=local"))
    out = [request for request in supabase.requests if "/logout" in request.path and request.method == "POST"]
    assert [request.headers["authorization"] for request in out] == ["Bearer access-1"]
    assert not any(request.path.startswith("/dev/") for request in site.requests)
    expect(page.get_by_text("Your session has ended.")).to_be_hidden()


def test_another_tab_does_not_get_the_tokens(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    other = page.context.new_page()
    other.goto(site.url)
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()


def test_sign_in_explains_each_failure_and_then_works(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_have_text("The e-mail or the password is wrong.")
    supabase.next(TOKEN, Answer(429))
    sign_in(page)
    expect(page.get_by_role("alert")).to_have_text("Too many tries. Wait a moment and try again.")
    supabase.broken = True
    sign_in(page)
    expect(page.get_by_role("alert")).to_contain_text("No connection")
    supabase.broken = False
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize("lifetime", [8, 60, 61, 300, 3600])
def test_a_token_is_renewed_once_before_it_expires(
    site: Site, supabase: Supabase, open_page: OpenPage, lifetime: int
) -> None:
    supabase.expires_in = lifetime
    page = open_page(site.url, clock=site)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    renewals = []
    for sent, share in enumerate((0.25, 0.25, 0.49), 1):
        site.connect(messagesSent=sent)
        pass_time(page, site, share * lifetime)
        expect(value_of(page, "Messages sent")).to_have_text(str(sent))
        renewals.append(supabase.count(REFRESH))
    assert renewals == [0, 0, 1]


@pytest.mark.parametrize("field", ["E-mail", "Password"])
def test_an_edit_of_the_form_stops_the_sign_in(site: Site, supabase: Supabase, open_page: OpenPage, field: str) -> None:
    page = open_page(site.url)
    held = threading.Event()
    supabase.next(TOKEN, late(Answer(200, supabase.issue()), held))
    sign_in(page)
    until(page, lambda: supabase.count(TOKEN + "?grant_type=password"))
    expect(page.get_by_role("button", name="Signing in…")).to_be_visible()
    page.get_by_label(field).press("b")
    expect(page.get_by_role("button", name="Sign in")).not_to_have_attribute("aria-disabled", "true")
    held.set()
    until(page, lambda: supabase.released == 1)
    page.evaluate("0")  # by now the page has handled the answer, if it still listened
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(alerts(page)).to_have_count(0)
    assert stored(page) == (0, 0)
    site.connect(phoneNumber="34699999999")
    sign_in(page)
    expect(page.get_by_role("heading", name="+34 699 999 999")).to_be_visible()
    assert {one.headers["authorization"] for one in site.requests if "/api/" in one.path} == {"Bearer access-2"}


def test_a_refused_token_is_renewed_once(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    for times in (1, 2):
        site.tokens.clear()  # the access token is revoked, and the refresh token still works
        until(page, lambda times=times: supabase.count(REFRESH) == times)
        polls(page, site)
        expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
        expect(network_line(page)).to_be_hidden()
    assert supabase.count(REFRESH) == 2


SESSION_OVER = [
    auth_error(400, "refresh_token_not_found"),
    auth_error(400, "refresh_token_already_used"),
    auth_error(400, "session_expired"),
    auth_error(403, "session_not_found"),
    auth_error(403, "user_banned"),
    Answer(400, {"error": "invalid_grant", "error_description": "Invalid Refresh Token"}),
    Answer(403, {"code": "user_not_found", "message": "User from sub claim does not exist"}),
]


def test_a_sign_in_that_has_ended_asks_to_sign_in_again(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    for refusal in SESSION_OVER:
        sign_in(page)
        expect(page.get_by_role("button", name="Connect WhatsApp"), str(refusal)).to_be_visible()
        supabase.next(TOKEN, refusal)
        site.tokens.clear()
        expect(page.get_by_role("heading", name="Sign in"), str(refusal)).to_be_visible()
        expect(page.get_by_text("Your session has ended. Sign in again.")).to_be_visible()
        assert stored(page) == (0, 0)


PROXIES = [302, 400, 401, 403, 404, 408, 429, 500, 502, 503, 200, 204]


@pytest.mark.parametrize("body", [b"<html>Blocked</html>", b'{"error": "blocked"}'], ids=["html", "json"])
def test_a_renewal_refused_by_a_proxy_keeps_the_sign_in(
    site: Site, supabase: Supabase, open_page: OpenPage, body: bytes
) -> None:
    site.connect()
    page = open_page(site.url, clock=site)
    sign_in(page)
    number = page.get_by_role("heading", name="+34 600 111 222")
    expect(number).to_be_visible()
    for status in PROXIES:
        headers = {"Location": "/login"} if status == 302 else {}
        supabase.standing[TOKEN] = Answer(status, body, headers)
        site.tokens.clear()
        pass_time(page, site, 1)  # the next status
        trouble = "The server is not answering properly. Trying again…"
        expect(network_line(page), str(status)).to_have_text(trouble)
        expect(number, str(status)).to_be_visible()
        del supabase.standing[TOKEN]
        pass_time(page, site, 6)
        expect(network_line(page), str(status)).to_be_hidden()  # the next renewal works
        expect(number).to_be_visible()


REFUSED = {
    "captcha_failed": "Sign-in asks for a CAPTCHA here, which this page does not have.",
    "user_banned": "This account is blocked. Ask support.",
    "validation_failed": "Sign-in does not accept this e-mail or password as it is written.",
    "email_not_confirmed": "Confirm your e-mail first",
    "over_request_rate_limit": "Too many tries.",
    "email_provider_disabled": "This account cannot sign in with e-mail and password here.",
    "something_new": "Sign-in refused (code: something_new). Ask support.",
    "constructor": "Sign-in refused (code: constructor). Ask support.",
    "invalid_credentials": "The e-mail or the password is wrong.",
    "invalid_grant": "The e-mail or the password is wrong.",
}


def test_a_refused_sign_in_shows_the_reason(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    for code, sentence in REFUSED.items():
        # The versions of Supabase write the code in different places.
        for body in ({"code": 400, "error_code": code}, {"code": code, "message": "…"}, {"error": code}):
            supabase.next(TOKEN, Answer(400, body))
            sign_in(page, "wrong")
            expect(page.get_by_role("alert"), str(body)).to_contain_text(sentence)


OLD_WORDS = {
    "Email not confirmed": "Confirm your e-mail first",
    "captcha protection: request disallowed (no captcha_token found)": "Sign-in asks for a CAPTCHA here",
    "captcha verification process failed": "Sign-in asks for a CAPTCHA here",
    "Invalid login credentials": "The e-mail or the password is wrong.",
    "User is banned": "This account is blocked.",
    "Email logins are disabled": "This account cannot sign in with e-mail and password here.",
}


def test_a_refusal_without_an_own_code_shows_the_reason(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    for words, sentence in OLD_WORDS.items():
        for body in ({"error": "invalid_grant", "error_description": words}, {"code": 400, "msg": words}):
            supabase.next(TOKEN, Answer(400, body))
            sign_in(page, "wrong")
            expect(page.get_by_role("alert"), str(body)).to_contain_text(sentence)


def test_a_captcha_is_explained_in_spanish(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url, locale="es-ES")
    supabase.next(TOKEN, auth_error(400, "captcha_failed"))
    page.get_by_label("Correo electrónico").fill("ana@example.com")
    page.get_by_label("Contraseña").fill("correct horse")
    page.get_by_label("Contraseña").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("pide un CAPTCHA, que esta página no tiene")


SOMEBODY_ELSE = {
    "html": Answer(200, b"<html>"),
    "cut": Answer(200, b'{"access_token": "a'),
    "empty": Answer(200, b""),
    "204": Answer(204),
    "half": Answer(200, {"access_token": "a"}),
    "no-token": Answer(200, {"access_token": "a b", "refresh_token": "c"}),
    "null": Answer(200, b"null"),
    "302": Answer(302, b"", {"Location": "/login"}),
    "403": Answer(403, b"<html>"),
    "400": Answer(400, {"message": "Blocked by the administrator"}),
}


def test_a_foreign_answer_to_sign_in_is_explained(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url)
    for name, answer in SOMEBODY_ELSE.items():
        supabase.next(TOKEN, answer)
        sign_in(page)
        sentence = "Sign-in does not answer properly. Try again in a moment."
        expect(page.get_by_role("alert"), name).to_have_text(sentence)
        assert stored(page) == (0, 0)
    sign_in(page)
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()


def test_a_refused_guest_is_asked_for_an_account(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    page = open_page(site.url, locale="es-ES")
    site.standing[STATUS] = error(401, "anonymous_not_allowed", "Sign in with an account.")
    page.get_by_label("Correo").fill("ana@example.com")
    page.get_by_label("Contraseña").fill("correct horse")
    page.get_by_role("button", name="Iniciar sesión").click()
    expect(network_line(page)).to_contain_text("Inicia sesión con una cuenta: los invitados no pueden")


@pytest.mark.parametrize(
    "refusal",
    [error(401, "unauthorized", "Sign in."), Answer(401, {"message": "Unauthorized"})],
    ids=["ours", "gateway"],
)
def test_a_service_that_refuses_every_token_is_explained(
    site: Site, supabase: Supabase, open_page: OpenPage, refusal: Answer
) -> None:
    page = open_page(site.url)
    site.standing[STATUS] = refusal
    sign_in(page)
    expect(network_line(page)).to_contain_text("this service does not accept your sign-in. Your password is right")
    expect(page.get_by_text("Loading…")).to_be_hidden()
    expect(spinners(page)).to_have_count(0)
    until(page, lambda: site.count(STATUS) >= 4)
    assert supabase.count(REFRESH) == 1  # one renewal, and not one for each refusal
    expect(page.get_by_role("heading", name="Sign in")).to_be_hidden()
    del site.standing[STATUS]  # for example because the API has the new key now
    expect(page.get_by_role("button", name="Connect WhatsApp")).to_be_visible()
    expect(network_line(page)).to_be_hidden()


def test_a_page_without_a_sign_in_names_the_missing_parameter(site: Site, open_page: OpenPage) -> None:
    site.development = None
    page = open_page(site.url)
    expect(page.get_by_role("heading", name="Sign-in is not configured: set SupabaseAnonKey")).to_be_visible()
    assert not any(request.path.startswith("/api/") for request in site.requests)
