"""A real decoder reads every picture back."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from whatsapp_pairing import qr

SIZE = 8
TEXTS = [
    "https://wa.me/settings/linked_devices#2@" + "Ab9+/=" * 8 + ",c2VjcmV0,aWRlbnRpdHk=,YWR2,1",
    "x",
    "https://wa.me/settings/linked_devices#" + "z" * 400,
]


def decode(picture: Image.Image) -> str:
    (found,) = zxingcpp.read_barcodes(picture.convert("L"), formats=zxingcpp.BarcodeFormat.QRCode)
    text: str = found.text
    return text


def rasterised(svg: bytes) -> Image.Image:
    """Paint the white ground and the path's squares; anything else in the picture is an error."""
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


def drawn_in_blocks(text: str) -> Image.Image:
    """Paint a terminal's half blocks: light where there is ink."""
    lines = text.rstrip("\n").split("\n")
    (width,) = {len(line) for line in lines}
    picture = Image.new("L", (width * SIZE, 2 * len(lines) * SIZE), 0)
    halves = {"█": (0, 1), "▀": (0,), "▄": (1,), " ": (), "\xa0": ()}
    for row, line in enumerate(lines):
        for column, block in enumerate(line):
            for half in halves[block]:
                left, top = column * SIZE, (2 * row + half) * SIZE
                picture.paste(255, (left, top, left + SIZE, top + SIZE))
    return picture


@pytest.mark.parametrize("text", TEXTS)
def test_the_svg_reads_back(text: str) -> None:
    assert decode(rasterised(qr.svg(text))) == text


@pytest.mark.parametrize("text", TEXTS)
def test_the_png_reads_back(text: str) -> None:
    assert decode(Image.open(io.BytesIO(qr.png(text)))) == text


@pytest.mark.parametrize("text", TEXTS)
def test_the_terminals_blocks_read_back(text: str) -> None:
    assert decode(drawn_in_blocks(qr.terminal(text).decode())) == text


@settings(max_examples=25)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200))
def test_any_text_reads_back(text: str) -> None:
    assert decode(Image.open(io.BytesIO(qr.png(text)))) == text


def test_there_is_a_quiet_zone_of_four_modules() -> None:
    picture = Image.open(io.BytesIO(qr.png(TEXTS[0]))).convert("L")
    width, height = picture.size
    for box in ((0, 0, width, 32), (0, 0, 32, height), (width - 32, 0, width, height), (0, height - 32, width, height)):
        assert picture.crop(box).getextrema() == (255, 255)
    assert picture.crop((32, 32, 40, 40)).getextrema() == (0, 0)  # the finder's corner


def test_the_svg_runs_nothing_and_loads_nothing() -> None:
    tags = [element.tag.rpartition("}")[2] for element in ET.fromstring(qr.svg(TEXTS[0])).iter()]
    assert tags == ["svg", "rect", "path"]
    for word in (b"href", b"url(", b"<!", b" on"):
        assert word not in qr.svg(TEXTS[0])


def test_a_picture_is_small_enough_to_poll() -> None:
    assert len(qr.svg(TEXTS[0])) < 60_000
    assert len(qr.png(TEXTS[0])) < 5_000
