"""Person A signs out while a request runs, and person B signs in. Nothing of A reaches B."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import Page, expect

from tests.system.browser.conftest import OpenPage, polls, until
from tests.system.browser.fakes import (
    CONNECT,
    DISCONNECT,
    QR_PICTURE,
    STATUS,
    TOKEN,
    Answer,
    Site,
    Supabase,
    disconnected,
    error,
)
from tests.system.browser.parts import NUMBER_OF_SANDBOX_PHONE, alerts, network_line, qr_picture
from tests.system.browser.steps import (
    LATE,
    QR,
    REFRESH,
    everything_in,
    expect_b,
    hand_over,
    hold_renewal,
    late,
    sign_in,
    sign_in_a,
)

A, B = "Bearer access-1", "Bearer access-2"


@pytest.mark.parametrize("answer", LATE.values(), ids=LATE)
def test_a_late_renewal_does_not_reach_the_next_person(
    site: Site, supabase: Supabase, open_page: OpenPage, answer: Answer
) -> None:
    site.connect()
    page = open_page(site.url)
    held = hold_renewal(page, site, supabase, answer)
    hand_over(page, site)
    seen = len(site.requests)
    held.set()
    expect_b(page, site, seen)
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_role("button", name="Yes, disconnect").click()
    expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()
    assert [one.headers["authorization"] for one in site.requests if one.path.endswith("/disconnect")] == [B]


@pytest.mark.parametrize("answer", [LATE["tokens"], LATE["refusal"]], ids=["tokens", "refusal"])
def test_a_late_renewal_keeps_the_person_signed_out(
    site: Site, supabase: Supabase, open_page: OpenPage, answer: Answer
) -> None:
    site.connect()
    page = open_page(site.url)
    held = hold_renewal(page, site, supabase, answer)
    page.get_by_role("button", name="Sign out").click()
    held.set()
    until(page, lambda: supabase.count("POST /auth/v1/logout?scope=local"))
    until(page, lambda: supabase.released == 1)
    page.evaluate("0")  # by now the page has handled the answer, if it still listened
    assert page.evaluate("sessionStorage.length") == 0
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(alerts(page)).to_have_count(0)
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


ACTIONS = {"connect": (CONNECT, "Connect WhatsApp", None), "disconnect": (DISCONNECT, "Disconnect", "Yes, disconnect")}


def press(page: Page, action: str) -> None:
    _, button, sure = ACTIONS[action]
    page.get_by_role("button", name=button).click()
    if sure:
        page.get_by_role("button", name=sure).click()


def prepare(site: Site, action: str) -> None:
    if action == "disconnect":
        site.connect()
    site.status["pollAfterMs"] = 60_000  # so that the action is the only running request


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    "answer",
    [error(401, "unauthorized", "Sign in."), Answer(202, disconnected()), error(503, "unavailable", "Busy.")],
    ids=["401", "done", "503"],
)
def test_a_late_answer_to_an_action_spares_the_next_person(
    site: Site, supabase: Supabase, open_page: OpenPage, action: str, answer: Answer
) -> None:
    prepare(site, action)
    call, button, _ = ACTIONS[action]
    page = open_page(site.url)
    sign_in_a(page, button)
    held = threading.Event()
    site.next(call, late(answer, held))
    press(page, action)
    until(page, lambda: site.count(call))
    hand_over(page, site)
    seen = len(site.requests)
    held.set()
    expect_b(page, site, seen)
    assert [one.headers["authorization"] for one in site.requests if one.method == "POST"] == [A]
    expect(alerts(page)).to_have_count(0)
    expect(network_line(page)).to_be_hidden()


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("answer", [LATE["tokens"], LATE["refusal"]], ids=["tokens", "refusal"])
def test_an_action_that_waits_for_a_renewal_ends_with_sign_out(
    site: Site, supabase: Supabase, open_page: OpenPage, action: str, answer: Answer
) -> None:
    prepare(site, action)
    page = open_page(site.url)
    sign_in_a(page, ACTIONS[action][1])
    held = threading.Event()
    supabase.next(TOKEN, late(answer, held))
    site.tokens.clear()
    press(page, action)
    until(page, lambda: supabase.count(REFRESH))
    hand_over(page, site)
    seen = len(site.requests)
    held.set()
    expect_b(page, site, seen)
    assert [one.headers["authorization"] for one in site.requests if one.method == "POST"] == [A]


def test_a_late_status_and_picture_are_dropped(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    site.waiting(QR)
    held = threading.Event()
    site.next(QR_PICTURE, Answer(200, b"<svg/>", held=held))
    page = open_page(site.url)
    sign_in(page)
    until(page, lambda: site.count(QR_PICTURE))
    site.next(STATUS, Answer(200, site.status, held=held))
    polls(page, site, 1)
    hand_over(page, site)
    seen = len(site.requests)
    held.set()
    expect_b(page, site, seen)
    assert qr_picture(page).get_attribute("src") is None


def test_sign_out_clears_personal_data_from_the_document(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    site.waiting(QR)
    page = open_page(site.url)
    sign_in(page)
    expect(qr_picture(page)).to_be_visible()
    site.fail("internal", "A reason of ana")
    expect(page.get_by_text("A reason of ana", exact=True).last).to_be_visible()
    site.connect(connectedAt="2026-07-27T08:04:00Z", messagesSent=4711)
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    empty = everything_in(page)
    assert "600 111 222" in empty
    assert "2026-07-27" in empty
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    left = everything_in(page)
    for trace in ("ana", "600", "4,711", "4711", "2026", "blob:", "linked_devices", "correct horse"):
        assert trace not in left.replace("34600111222", ""), (
            trace
        )  # the default number of the sandbox phone belongs to no person
    # The sign-in form is empty too.
    assert [page.get_by_label(name).input_value() for name in ("E-mail", "Password")] == ["", ""]


def test_sign_out_resets_the_sandbox_phone_s_number(site: Site, supabase: Supabase, open_page: OpenPage) -> None:
    site.waiting(QR)
    page = open_page(site.url)
    sign_in(page)
    expect(qr_picture(page)).to_be_visible()
    page.get_by_label(NUMBER_OF_SANDBOX_PHONE).evaluate("(input) => { input.value = '4915112345678'; }")
    page.get_by_role("button", name="Sign out").click()
    assert page.get_by_label(NUMBER_OF_SANDBOX_PHONE).input_value() == "34600111222"
