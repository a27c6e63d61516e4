"""The page against the real system: functions, workflow, engine and the simulated WhatsApp."""

from __future__ import annotations

import io
from pathlib import Path

import zxingcpp
from PIL import Image
from playwright.sync_api import expect

from tests.support.stack import RunningSystem
from tests.system.browser.conftest import OpenPage
from tests.system.browser.fakes import PAGE
from tests.system.browser.parts import alerts, qr_frame, qr_picture


def test_the_page_pairs_behind_the_printed_password(tmp_path: Path, open_page: OpenPage) -> None:
    said = tmp_path / "stderr"
    with said.open("w") as stderr:
        stack = RunningSystem(tmp_path / "data", "--host", "0.0.0.0", stderr=stderr)
    try:
        password = said.read_text().partition("asks for this password (any user name): ")[2].split()[0]
        credentials = {"username": "me", "password": password}
        page = open_page(stack.url + PAGE, http_credentials=credentials)
        page.get_by_role("button", name="Connect WhatsApp").click()
        expect(qr_picture(page)).to_be_visible()
        page.get_by_role("button", name="Scan with the sandbox phone").click()
        expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    finally:
        assert stack.stop() == 0


def test_the_page_connects_shows_a_scannable_qr_and_disconnects(runner_url: str, open_page: OpenPage) -> None:
    page = open_page(runner_url.rstrip("/") + PAGE)
    page.get_by_role("button", name="Connect WhatsApp").click()
    expect(page.get_by_role("heading", name="Scan this code with WhatsApp")).to_be_visible()
    expect(qr_picture(page)).to_be_visible()
    qr_picture(page).evaluate("(image) => image.decode()")
    picture = Image.open(io.BytesIO(qr_frame(page).screenshot())).convert("L")
    codes = [code.text for code in zxingcpp.read_barcodes(picture)]
    assert len(codes) == 1
    assert codes[0].startswith("https://wa.me/settings/linked_devices#")
    page.get_by_label("Number of the sandbox phone").fill("34600111222")
    page.get_by_role("button", name="Scan with the sandbox phone").click()
    expect(page.get_by_role("heading", name="+34 600 111 222")).to_be_visible()
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_role("button", name="Yes, disconnect").click()
    expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()


def test_the_page_asks_for_another_scan_and_then_connects(
    stack: RunningSystem, runner_url: str, open_page: OpenPage
) -> None:
    stack.sandbox.set_knobs(renewSecret=True, failTimes=1)
    page = open_page(runner_url.rstrip("/") + PAGE)
    page.get_by_role("button", name="Connect WhatsApp").click()
    expect(qr_picture(page)).to_be_visible()
    page.get_by_label("Number of the sandbox phone").fill("34600111223")
    page.get_by_role("button", name="Scan with the sandbox phone").click()
    expect(alerts(page).filter(has_text="WhatsApp asks for one more scan.")).to_be_visible()
    expect(qr_picture(page)).to_be_visible()
    page.get_by_role("button", name="Scan with the sandbox phone").click()
    expect(page.get_by_role("heading", name="+34 600 111 223")).to_be_visible()
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_role("button", name="Yes, disconnect").click()
    expect(page.get_by_role("heading", name="Connect your WhatsApp")).to_be_visible()
