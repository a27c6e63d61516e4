"""A QR text as a picture. Imported by the QR route only: drawing costs more to load than all of status."""

import io

from qrcode import QRCode
from qrcode.constants import ERROR_CORRECT_L
from qrcode.image.pure import PyPNGImage
from qrcode.image.svg import SvgPathFillImage

_QUIET_ZONE = 4
_PIXELS_A_MODULE = 8


def svg(text: str) -> bytes:
    """Return the QR as SVG: black on white with its quiet zone, so that it scans on a dark page too."""
    return _drawn(text, SvgPathFillImage)


def png(text: str) -> bytes:
    """Return the QR as a one-bit PNG, 8 pixels a module."""
    return _drawn(text, PyPNGImage)


def terminal(text: str) -> bytes:
    """Return the QR in block characters, for a terminal with light text on a dark ground."""
    code = _code(text)
    lines = io.StringIO()
    code.print_ascii(out=lines, invert=True)
    return lines.getvalue().encode()


def _drawn(text: str, kind: type[SvgPathFillImage] | type[PyPNGImage]) -> bytes:
    picture = io.BytesIO()
    _code(text).make_image(image_factory=kind).save(picture)
    return picture.getvalue()


def _code(text: str) -> QRCode:
    # Level L, as WhatsApp's own: the fewest modules, so the biggest on a phone's screen.
    code = QRCode(error_correction=ERROR_CORRECT_L, border=_QUIET_ZONE, box_size=_PIXELS_A_MODULE)
    code.add_data(text)
    return code
