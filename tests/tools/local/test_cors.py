"""Which origins the local HTTP API allows."""

from __future__ import annotations

import pytest

from infra.local.gateway.cors import with_cors
from infra.local.gateway.payload import HttpRequest, HttpResponse
from infra.template.stack_definition import Cors


@pytest.mark.parametrize(
    ("allowed", "origin", "expected"),
    [
        ("http://[::1]:8080", "http://[::1]:8080", "http://[::1]:8080"),
        ("https://*", "https://app.example.com", "https://app.example.com"),
        ("https://*", "http://app.example.com", None),
        ("https://app.example.com", "https://app.example.com.evil.example", None),
        ("*", "https://anything.example", "*"),
    ],
)
def test_an_origin_must_match_letter_by_letter(allowed: str, origin: str, expected: str | None) -> None:
    request = HttpRequest("GET", "/", "", [("origin", origin)], b"", "127.0.0.1")
    answer = with_cors(Cors(origins=(allowed,)), request, HttpResponse(200))

    assert dict(answer.headers).get("access-control-allow-origin") == expected
