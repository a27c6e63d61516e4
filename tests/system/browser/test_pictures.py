"""`make pictures` still works with the page as it is."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.system.browser.pictures import LARGEST_BYTES, PICTURE, SCREEN, take

FOUR_SCREENS = 4 * SCREEN["width"]


@pytest.mark.slow
def test_the_pictures_are_taken_from_a_real_pairing(chromium: Browser) -> None:
    assert width(take(chromium)) >= FOUR_SCREENS


def test_the_committed_picture_is_whole_and_small() -> None:
    picture = PICTURE.read_bytes()
    assert len(picture) <= LARGEST_BYTES
    assert width(picture) >= FOUR_SCREENS


def width(png: bytes) -> int:
    """The width of a picture in pixels. The whole picture is read, so a cut one fails."""
    with Image.open(io.BytesIO(png)) as image:
        image.load()
        return image.width
