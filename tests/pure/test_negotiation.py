"""Which media type and language an Accept header asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whatsapp_pairing.core.errors import NotAcceptable
from whatsapp_pairing.web import http
from whatsapp_pairing.web.negotiation import language, media_type

SVG, PNG, TEXT = OFFERED = ["image/svg+xml", "image/png", "text/plain"]
LANGUAGES = ["en", "es"]

MEDIA = {
    # What clients send by themselves.
    "": SVG,
    "*/*": SVG,
    "application/json, text/plain, */*": SVG,
    "application/json, application/*+json, text/plain;q=0.8, */*;q=0.5": TEXT,
    "text/plain, application/json, application/*+json, */*": SVG,
    "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8": SVG,
    "image/avif,image/webp,image/png,*/*;q=0.8": PNG,
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": SVG,
    "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2": SVG,
    # The weight is that of the most specific range, wherever it stands.
    "image/png;q=0.1, */*;q=0.9": SVG,
    "image/svg+xml;q=0.1, */*;q=0.9": PNG,
    "*/*;q=0.9, image/*;q=0.1": TEXT,
    "image/*;q=0.9, image/svg+xml;q=0.1, text/plain;q=0.5": PNG,
    "text/*;q=0.5, image/png;q=0.4, */*;q=0.1": TEXT,
    "text/plain;q=0.9, image/png": PNG,
    "text/plain, image/png": PNG,
    "text/plain;q=0.5, image/png;q=0.5, image/svg+xml;q=0.5": SVG,
    "image/png;q=0.001": PNG,
    "image/png, image/png;q=0.1, image/svg+xml;q=0.5": PNG,
    # 0 means never.
    "image/svg+xml;q=0, */*": PNG,
    "image/*;q=0, */*;q=0.1": TEXT,
    "image/svg+xml;q=0": PNG,
    "image/svg+xml;q=0.000, image/png;q=0, text/*;q=0.1": TEXT,
    "application/json, image/svg+xml;q=0": PNG,
    "*/*;q=0": None,
    "*;q=0": None,
    "text/*;q=0, image/*;q=0": None,
    "application/json, */*;q=0": None,
    # A header that names nothing of ours is no refusal.
    "application/json": SVG,
    "text/html;q=0.9": SVG,
    # Case, blanks, order of parameters.
    "IMAGE/PNG": PNG,
    "image/svg+xml;q=0.1,Text/Plain ; Q=0.5": TEXT,
    "\timage/png ;\tq=1 ,text/plain": PNG,
    "image/png;;q=0.5;, text/plain;q=0.6": TEXT,
    # A range with parameters is for a type with these parameters, and ours is UTF-8.
    "text/plain;charset=utf-8": TEXT,
    'text/plain;charset="UTF-8";q=0.9, image/png;q=0.5': TEXT,
    "text/plain;format=flowed, image/png;q=0.2": PNG,
    "image/png;level=1;q=0.1, image/png;q=0.9, image/svg+xml;q=0.5": PNG,
    # Quoted strings hide separators.
    'x/y;a="b,image/png;q=1", text/plain': TEXT,
    'x/y;a="\\",image/png", text/plain': TEXT,
    'x/y;a=";q=0", text/plain;q="0.5"': TEXT,
    # A weight that cannot be read is that of a range without one; one out of bounds is the nearest.
    "image/png;q=much": PNG,
    "image/png;q=": PNG,
    "image/png;q=NaN, text/plain;q=0.9": PNG,
    "image/png;q=inf, image/svg+xml;q=0.9": PNG,
    "image/png;q=7, image/svg+xml": SVG,
    "image/png;q=-1, text/plain;q=0.1": TEXT,
    "image/png;q=.5, text/plain;q=1.": TEXT,
    "image/png;q=1e-9, text/plain;q=0.9": PNG,
    "image/png;q=٠": PNG,
    # No range at all.
    ",": SVG,
    ";;;,,,": SVG,
    "/": SVG,
    "image": SVG,
    "image/": SVG,
    "*/png": SVG,
    ";q=0": SVG,
    '"': SVG,
    "q=0": SVG,
}  # fmt: skip


@pytest.mark.parametrize(("accept", "expected"), MEDIA.items())
def test_the_media_type_with_the_highest_weight_is_chosen(accept: str, expected: str | None) -> None:
    assert media_type(accept, OFFERED) == expected


SPOKEN = {
    "": "en",
    "es": "es",
    "es-MX": "es",
    "es-419,es;q=0.9": "es",
    "es-MX,es;q=0.9,en;q=0.8": "es",
    "en-GB,es": "en",
    "en-US,en;q=0.5,es;q=0.7": "en",
    "en;q=0.8, es": "es",
    "en;q=0.1,es;q=0.9": "es",
    "es;q=0.2, en;q=0.3": "en",
    "de-DE, fr;q=0.9, es;q=0.1": "es",
    "de": "en",
    "*": "en",
    "de, *;q=0.5": "en",
    "en;q=0.1, *": "es",
    "es, *;q=0.1": "es",
    "en;q=0": "es",
    "en;q=0, *": "es",
    "en-US;q=0": "es",
    "es;q=0, *": "en",
    "es;q=0": "en",
    "es-MX;q=0, es": "es",
    "*;q=0": "en",
    "*;q=0, es;q=0.1": "es",
    "en;q=0, es;q=0": "en",
    "ES": "es",
    "Es-mX;Q=0.8, EN;q=0.7": "es",
    "es_MX": "es",
    " es ; q=1": "es",
    "es;q=soon, en;q=0.9": "es",
    'de;x="en", es': "es",
    "estonian": "en",
    "x-es": "en",
    "-": "en",
    "en-" * 500: "en",
}


@pytest.mark.parametrize(("header", "expected"), SPOKEN.items())
def test_the_language_with_the_highest_weight_is_chosen(header: str, expected: str) -> None:
    assert language(header, LANGUAGES) == expected


@given(st.text() | st.text(alphabet='*/;,="\\q01. aimgenpts-'))
def test_any_header_has_an_answer(header: str) -> None:
    assert media_type(header, OFFERED) in (*OFFERED, None)
    assert language(header, LANGUAGES) in LANGUAGES


def request(**headers: str) -> dict[str, object]:
    """A request with these headers."""
    return {"headers": {name.replace("_", "-"): value for name, value in headers.items()}}


# ── in a request ──


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "en"), ("es", "es"), ("es-MX,es;q=0.9,en;q=0.8", "es"), ("ES", "es"), ("en-GB,es", "en"),
        ("de-DE, fr;q=0.9, es;q=0.1", "es"), ("de", "en"), ("*", "en"), (" es ; q=1", "es"), ("estonian", "en"),
    ],
)  # fmt: skip
def test_a_request_has_a_language(header: str, expected: str) -> None:
    assert http.language(request(accept_language=header)) == expected


@pytest.mark.parametrize(
    ("header", "media"),
    [
        ("", OFFERED[0]), ("*/*", OFFERED[0]), ("image/png", "image/png"), ("IMAGE/PNG", "image/png"),
        ("text/html, text/plain;q=0.9, image/png", "image/png"), ("application/json", OFFERED[0]),
        ("application/json, text/plain, */*", OFFERED[0]),
    ],
)  # fmt: skip
def test_a_request_has_a_media_type(header: str, media: str) -> None:
    assert http.accepted(request(accept=header), OFFERED) == media


def test_a_refusal_names_the_types_on_offer() -> None:
    with pytest.raises(NotAcceptable) as refused:
        http.accepted(request(accept="*/*;q=0"), OFFERED)
    assert all(media in refused.value.message for media in OFFERED)
