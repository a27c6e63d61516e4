"""Makes the picture at the top of README from a real pairing: ``make pictures``.

Four screenshots of the settings page stand side by side: click, QR, scan, connected. The system is the local one with
its simulated WhatsApp. The word SANDBOX covers the QR, so nobody mistakes the QR for one of WhatsApp.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page, expect, sync_playwright

from tests.support.stack import ROOT, RunningSystem
from tests.system.browser.conftest import ARGUMENTS, PATIENCE_SECONDS, installed
from tests.system.browser.fakes import PAGE
from tests.system.browser.parts import qr_picture

PICTURE = ROOT / ".github" / "pairing.png"
LARGEST_BYTES = 200_000
COLOURS = 128
# The width of a phone, so that four screenshots fit side by side and stay legible.
SCREEN = {"width": 400, "height": 700}
# The simulated WhatsApp waits for this long after the scan, so that the picture shows how the phone finishes.
LOGIN_DELAY_SECONDS = 4

STRIP = """<!doctype html>
<style>
  body { margin: 0; padding: 16px; background: #fff; font: 600 20px sans-serif; display: flex; gap: 16px;
         width: max-content; }
  figure { margin: 0; width: WIDTHpx; }
  figcaption { padding: 0 0 10px; color: #12332a; }
  b { display: inline-block; width: 30px; line-height: 30px; border-radius: 50%; background: #0b7a56; color: #fff;
      text-align: center; margin-right: 6px; }
  div { position: relative; border: 1px solid #c9d3cf; border-radius: 12px; overflow: hidden; }
  img { display: block; width: 100%; }
  span { position: absolute; transform: translate(-50%, -50%) rotate(-32deg); background: #b3261e; color: #fff;
         padding: 10px 40px; border-radius: 6px; letter-spacing: 6px; font-size: 28px; }
</style>
"""


@dataclass(frozen=True)
class Shot:
    """One screenshot, what stands above it, and where its QR is."""

    caption: str
    png: bytes
    qr: FloatRect | None = None


def main() -> int:
    """Write the picture."""
    if not installed():
        print("There is no Chromium on this machine (apt-get install chromium).", file=sys.stderr)
        return 2
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed(), args=ARGUMENTS)
        picture = take(browser)
        browser.close()
    if len(picture) > LARGEST_BYTES:
        print(f"The picture has more than {LARGEST_BYTES // 1000} kB; it is not written.", file=sys.stderr)
        return 1
    PICTURE.write_bytes(picture)
    print(f"{PICTURE.relative_to(ROOT)}: {len(picture) // 1000} kB")
    return 0


def take(browser: Browser) -> bytes:
    """Start the system, pair once and return the strip as a PNG."""
    with tempfile.TemporaryDirectory(prefix="whatsapp-pairing-pictures-") as directory:
        stack = RunningSystem(Path(directory))
        try:
            shots = pair(browser, stack)
        finally:
            stack.stop()
    return compose(browser, shots)


def pair(browser: Browser, stack: RunningSystem) -> list[Shot]:
    """Pair on the settings page, and photograph its four states."""
    stack.sandbox.set_knobs(loginDelaySeconds=LOGIN_DELAY_SECONDS)
    context = browser.new_context(locale="en-GB", timezone_id="Europe/Madrid", viewport=SCREEN, device_scale_factor=1)
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    page = context.new_page()
    page.goto(stack.url + PAGE)
    connect = page.get_by_role("button", name="Connect WhatsApp")
    expect(connect).to_be_visible()
    shots = [Shot("Click", photo(page))]

    connect.click()
    expect(qr_picture(page)).to_be_visible()
    qr_picture(page).evaluate("(image) => image.decode()")
    # Hide the hint that only a phone shows, because the picture stands for a computer.
    page.get_by_text("Is this your phone’s screen?").evaluate("(hint) => hint.style.display = 'none'")
    shots.append(Shot("A QR code comes", photo(page), qr_picture(page).bounding_box()))

    page.get_by_role("button", name="Scan with the sandbox phone").click()
    expect(page.get_by_role("heading", name="Finishing")).to_be_visible()
    shots.append(Shot("Scan it", photo(page)))

    expect(page.get_by_role("button", name="Disconnect")).to_be_visible()
    shots.append(Shot("Connected", photo(page)))
    context.close()
    return shots


def photo(page: Page) -> bytes:
    """Photograph the page from its top, without the focus ring."""
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    return page.screenshot(animations="disabled")


def compose(browser: Browser, shots: list[Shot]) -> bytes:
    """Return one PNG with all screenshots and their captions."""
    context = browser.new_context(viewport={"width": 2000, "height": 1000})
    page = context.new_page()
    page.set_content(STRIP.replace("WIDTH", str(SCREEN["width"])) + "".join(map(_figure, range(1, 5), shots)))
    page.evaluate("Promise.all([...document.images].map((image) => image.decode()))")
    whole = Image.open(io.BytesIO(page.locator("body").screenshot()))
    context.close()
    packed = io.BytesIO()
    whole.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return packed.getvalue()


def _figure(number: int, shot: Shot) -> str:
    """The HTML of one screenshot; the word SANDBOX covers the middle of its QR."""
    cover = ""
    if shot.qr:
        left, top = shot.qr["x"] + shot.qr["width"] / 2, shot.qr["y"] + shot.qr["height"] / 2
        cover = f'<span style="left: {left}px; top: {top}px">SANDBOX</span>'
    source = base64.b64encode(shot.png).decode()
    image = f'<div><img src="data:image/png;base64,{source}">{cover}</div>'
    return f"<figure><figcaption><b>{number}</b>{shot.caption}</figcaption>{image}</figure>"


if __name__ == "__main__":
    sys.exit(main())
