"""A real QR decoder reads every picture of a QR."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from whatsapp_pairing.web import qr

SIZE = 8
TEXTS = [
    "https://wa.me/settings/linked_devices#2@" + "Ab9+/=" * 8 + ",c2VjcmV0,aWRlbnRpdHk=,YWR2,1",
    "x",
    "https://wa.me/settings/linked_devices#" + "z" * 400,
]


def decode(picture: Image.Image) -> str:
    """Decode the picture as WhatsApp does: only dark modules on a light ground."""
    (found,) = zxingcpp.read_barcodes(picture.convert("L"), formats=zxingcpp.BarcodeFormat.QRCode, try_invert=False)
    text: str = found.text
    return text


def rasterised(svg: bytes) -> Image.Image:
    """Paint the white ground and the squares of the path. Any other element is an error."""
    root = ET.fromstring(svg)
    side = float(root.attrib["viewBox"].split()[2])
    modules = round(side / _module(root))
    picture = Image.new("L", (modules * SIZE, modules * SIZE), 128)
    ground, path = list(root)
    assert ground.tag.endswith("rect")
    assert (ground.attrib["fill"], ground.attrib["width"], ground.attrib["height"]) == ("white", "100%", "100%")
    picture.paste(255, (0, 0, *picture.size))
    scale = modules * SIZE / side
    squares = re.findall(r"M([\d.]+),([\d.]+)H([\d.]+)V([\d.]+)H\1z", path.attrib["d"])
    assert "".join(f"M{x},{y}H{right}V{bottom}H{x}z" for x, y, right, bottom in squares) == path.attrib["d"]
    for square in squares:
        left, top, right, bottom = (round(float(number) * scale) for number in square)
        picture.paste(0, (left, top, right, bottom))
    return picture


def _module(root: ET.Element) -> float:
    found = re.match(r"M([\d.]+),[\d.]+H([\d.]+)", root[1].attrib["d"])
    assert found
    return float(found[2]) - float(found[1])


GROUNDS = {"light": (255, 0), "dark": (0, 255), "grey": (128, 128)}
HALVES = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False), "\xa0": (False, False)}


def on_a_terminal(text: str, ground: int, ink: int) -> Image.Image:
    """Paint the text as a terminal with these colours and escape sequences does, with a border around it."""
    lines = text.rstrip("\n").split("\n")
    cells = [list(_cells(line, ground, ink)) for line in lines]
    (width,) = {len(line) for line in cells}
    picture = Image.new("L", ((width + 8) * SIZE, (2 * len(cells) + 8) * SIZE), ground)
    for row, line in enumerate(cells):
        for column, halves in enumerate(line):
            for half, colour in enumerate(halves):
                left, top = (column + 4) * SIZE, (2 * row + half + 4) * SIZE
                picture.paste(colour, (left, top, left + SIZE, top + SIZE))
    return picture


def _cells(line: str, ground: int, ink: int) -> Iterator[tuple[int, int]]:
    """The colours of the upper and the lower half of each cell."""
    front, back = ink, ground
    for codes, block in re.findall(r"\x1b\[([\d;]*)m|(.)", line):
        if block:
            upper, lower = HALVES[block]
            yield (front if upper else back, front if lower else back)
        elif codes in ("", "0"):
            front, back = ink, ground
        else:
            found = re.fullmatch(r"38;5;(\d+);48;5;(\d+)", codes)
            assert found, codes
            front, back = (_fixed_colour(int(number)) for number in found.groups())
    assert (front, back) == (ink, ground), "the colours do not end with the line"


def _fixed_colour(number: int) -> int:
    """How light one of the 256 colours is. The first 16 depend on the terminal's theme, so they are not allowed."""
    assert 16 <= number <= 255
    if number >= 232:
        return 8 + 10 * (number - 232)
    levels = [0, 95, 135, 175, 215, 255]
    return sum(levels[(number - 16) // place % 6] for place in (36, 6, 1)) // 3


@pytest.mark.parametrize("text", TEXTS)
def test_the_svg_reads_back(text: str) -> None:
    assert decode(rasterised(qr.svg(text))) == text


@pytest.mark.parametrize("text", TEXTS)
def test_the_png_reads_back(text: str) -> None:
    assert decode(Image.open(io.BytesIO(qr.png(text)))) == text


@pytest.mark.parametrize(("ground", "ink"), GROUNDS.values(), ids=GROUNDS)
@pytest.mark.parametrize("text", TEXTS)
def test_the_terminal_s_qr_reads_back_on_any_background(text: str, ground: int, ink: int) -> None:
    assert decode(on_a_terminal(qr.terminal(text).decode(), ground, ink)) == text


def test_a_qr_without_colours_reads_on_a_dark_background() -> None:
    plain = re.sub(r"\x1b\[[\d;]*m", "", qr.terminal(TEXTS[0]).decode())
    assert decode(on_a_terminal(plain, ground=0, ink=255)) == TEXTS[0]


@settings(max_examples=25)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200))
def test_any_text_reads_back(text: str) -> None:
    assert decode(Image.open(io.BytesIO(qr.png(text)))) == text


def test_the_picture_has_a_quiet_zone_of_four_modules() -> None:
    picture = Image.open(io.BytesIO(qr.png(TEXTS[0]))).convert("L")
    width, height = picture.size
    for box in ((0, 0, width, 32), (0, 0, 32, height), (width - 32, 0, width, height), (0, height - 32, width, height)):
        assert picture.crop(box).getextrema() == (255, 255)
    assert picture.crop((32, 32, 40, 40)).getextrema() == (0, 0)  # the corner of the finder pattern


def test_the_svg_runs_nothing_and_loads_nothing() -> None:
    tags = [element.tag.rpartition("}")[2] for element in ET.fromstring(qr.svg(TEXTS[0])).iter()]
    assert tags == ["svg", "rect", "path"]
    for word in (b"href", b"url(", b"<!", b" on"):
        assert word not in qr.svg(TEXTS[0])


def test_a_picture_is_small_enough_to_poll() -> None:
    assert len(qr.svg(TEXTS[0])) < 60_000
    assert len(qr.png(TEXTS[0])) < 5_000
