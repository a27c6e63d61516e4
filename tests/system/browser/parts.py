"""The parts of the page, found by role and text as a person finds them, so that they may move or change their ids.

Only the spinners and the bar under the QR have neither a role nor a text. `spinners` and `qr_bar` find them by class.
"""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page

# Every element below a node, also those in a shadow root, for which `querySelectorAll` does not look.
EVERY_ELEMENT = """(node) => {
  const below = (root) => [...root.querySelectorAll("*")]
    .flatMap((element) => [element, ...(element.shadowRoot ? below(element.shadowRoot) : [])]);
  return below(node);
}"""
QR_TEXT = re.compile("QR")
FAILED = re.compile("This page has (failed|not started)|Esta página (ha fallado|no se ha iniciado)")
STATES = re.compile("^(Not connected|Connecting|Waiting for your phone|Finishing|Connected)$")
NUMBER_OF_SANDBOX_PHONE = "Number of the sandbox phone"


def announcer(page: Page) -> Locator:
    """The line that only a screen reader reads. It comes first and is always there."""
    return page.get_by_role("status").first


def network_line(page: Page) -> Locator:
    """The line about network and server. It is hidden while there is nothing to say."""
    return page.get_by_role("status", include_hidden=True).nth(1)


def failure_line(page: Page) -> Locator:
    """The line about a failure of the page itself. It is hidden while the page works."""
    return page.get_by_role("alert", include_hidden=True).filter(has_text=FAILED)


def alerts(page: Page) -> Locator:
    """The visible alerts: the result of an action, a notice, a failure of the page."""
    return page.get_by_role("alert")


def state_line(page: Page) -> Locator:
    """The short name of the state, above the panel, while it is on show."""
    return page.get_by_text(STATES).filter(visible=True)


def panels(page: Page) -> Locator:
    """The headings of the panels on show."""
    return page.get_by_role("heading", level=2)


def qr_picture(page: Page) -> Locator:
    """The picture of the QR, on show or not."""
    return page.get_by_role("img", name=QR_TEXT, include_hidden=True)


def qr_frame(page: Page) -> Locator:
    """The white frame around the picture of the QR."""
    return qr_picture(page).locator("xpath=..")


def qr_bar(page: Page) -> Locator:
    """The bar that shows how long the QR lives. It is hidden from screen readers."""
    return page.locator(".bar span")


def spinners(page: Page) -> Locator:
    """The spinners on show. They are hidden from screen readers."""
    return page.locator(".spinner:visible")


def value_of(page: Page, term: str) -> Locator:
    """The value beside a term in the list of a connected session."""
    return page.get_by_role("term").filter(has_text=term).locator("xpath=following-sibling::dd")
