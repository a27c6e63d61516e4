"""The media type and the language that the request's headers ask for."""

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
    # The headers that common clients send.
    "": SVG,
    "*/*": SVG,
    "application/json, text/plain, */*": SVG,
    "application/json, application/*+json, text/plain;q=0.8, */*;q=0.5": TEXT,
    "text/plain, application/json, application/*+json, */*": SVG,
    "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8": SVG,
    "image/avif,image/webp,image/png,*/*;q=0.8": PNG,
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": SVG,
    "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2": SVG,
    # The most specific range gives the weight, at any place in the header.
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
    # A weight of 0 excludes the type.
    "image/svg+xml;q=0, */*": PNG,
    "image/*;q=0, */*;q=0.1": TEXT,
    "image/svg+xml;q=0": PNG,
    "image/svg+xml;q=0.000, image/png;q=0, text/*;q=0.1": TEXT,
    "application/json, image/svg+xml;q=0": PNG,
    "*/*;q=0": None,
    "*;q=0": None,
    "text/*;q=0, image/*;q=0": None,
    "application/json, */*;q=0": None,
    # A header without any of our types does not exclude them.
    "application/json": SVG,
    "text/html;q=0.9": SVG,
    # Case, blanks and the order of parameters do not matter.
    "IMAGE/PNG": PNG,
    "image/svg+xml;q=0.1,Text/Plain ; Q=0.5": TEXT,
    "\timage/png ;\tq=1 ,text/plain": PNG,
    "image/png;;q=0.5;, text/plain;q=0.6": TEXT,
    # A range with a parameter matches only a type with that parameter. Ours has charset=utf-8.
    "text/plain;charset=utf-8": TEXT,
    'text/plain;charset="UTF-8";q=0.9, image/png;q=0.5': TEXT,
    "text/plain;format=flowed, image/png;q=0.2": PNG,
    "image/png;level=1;q=0.1, image/png;q=0.9, image/svg+xml;q=0.5": PNG,
    # Separators inside quoted strings do not count.
    'x/y;a="b,image/png;q=1", text/plain': TEXT,
    'x/y;a="\\",image/png", text/plain': TEXT,
    'x/y;a=";q=0", text/plain;q="0.5"': TEXT,
    # An unreadable weight counts as 1, and a weight out of bounds as the nearest bound.
    "image/png;q=much": PNG,
    "image/png;q=": PNG,
    "image/png;q=NaN, text/plain;q=0.9": PNG,
    "image/png;q=inf, image/svg+xml;q=0.9": PNG,
    "image/png;q=7, image/svg+xml": SVG,
    "image/png;q=-1, text/plain;q=0.1": TEXT,
    "image/png;q=.5, text/plain;q=1.": TEXT,
    "image/png;q=1e-9, text/plain;q=0.9": PNG,
    "image/png;q=٠": PNG,
    # The header has no range.
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


# ── the headers of a request ──


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
