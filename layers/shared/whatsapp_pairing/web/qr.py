"""Draws a QR text as a picture.

Only the route /qr imports this module, because the import takes longer than the rest of the status function.
"""

import io

from qrcode import QRCode
from qrcode.constants import ERROR_CORRECT_L
from qrcode.image.pure import PyPNGImage
from qrcode.image.svg import SvgPathFillImage

_QUIET_ZONE = 4
_PIXELS_A_MODULE = 8

# White on black, in every terminal. The two colours are from the colour cube and the grey ramp of the 256 colours. A
# theme changes only the first 16 colours, and a light theme may swap black and white there.
_INK, _NO_INK = "\x1b[38;5;231;48;5;232m", "\x1b[0m"


def svg(text: str) -> bytes:
    """Return the QR as SVG: black on white with a quiet zone, so that a phone can scan it on a dark page too."""
    return _drawn(text, SvgPathFillImage)


def png(text: str) -> bytes:
    """Return the QR as a one-bit PNG, 8 pixels a module."""
    return _drawn(text, PyPNGImage)


def terminal(text: str) -> bytes:
    """Return the QR in block characters with fixed colours, so that it scans on a light and a dark terminal."""
    drawn = io.StringIO()
    _code(text).print_ascii(out=drawn, invert=True)
    return "".join(f"{_INK}{line}{_NO_INK}\n" for line in drawn.getvalue().splitlines()).encode()


def _drawn(text: str, kind: type[SvgPathFillImage] | type[PyPNGImage]) -> bytes:
    picture = io.BytesIO()
    _code(text).make_image(image_factory=kind).save(picture)
    return picture.getvalue()


def _code(text: str) -> QRCode:
    # Level L, as WhatsApp's own QRs have it, needs the fewest modules. So each module is as large as possible.
    code = QRCode(error_correction=ERROR_CORRECT_L, border=_QUIET_ZONE, box_size=_PIXELS_A_MODULE)
    code.add_data(text)
    return code
