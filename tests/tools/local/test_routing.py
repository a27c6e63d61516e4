"""Which route a request takes."""

from __future__ import annotations

import pytest

from infra.local.gateway.routing import Router
from infra.template.stack_definition import Route

ROUTES = [
    "GET /a", "ANY /a", "GET /a/{x}", "GET /a/b", "POST /a/{x}/c", "GET /f.txt", "GET /g", "GET /g/{x+}", "GET /g/h",
    "HEAD /g/{x}", "HEAD /g/{x+}", "GET /",
]  # fmt: skip
ROUTER = Router([Route(method, path, "F", None) for method, path in map(str.split, ROUTES)])


@pytest.mark.parametrize(
    ("method", "path", "route", "parameters"),
    [
        ("GET", "/a", "GET /a", {}),
        ("PUT", "/a", "ANY /a", {}),
        ("GET", "/a/b", "GET /a/b", {}),
        ("GET", "/a/b%2Fc", "GET /a/{x}", {"x": "b/c"}),
        ("POST", "/a/1/c", "POST /a/{x}/c", {"x": "1"}),
        ("GET", "/f.txt", "GET /f.txt", {}),
        ("GET", "/g", "GET /g", {}),
        ("GET", "/g/", "GET /g/{x+}", {"x": ""}),
        ("GET", "/g/h", "GET /g/h", {}),
        ("GET", "/g/i%2Fj/k/", "GET /g/{x+}", {"x": "i/j/k/"}),
        ("HEAD", "/g/i", "HEAD /g/{x}", {"x": "i"}),
        ("HEAD", "/g/i/j", "HEAD /g/{x+}", {"x": "i/j"}),
        ("GET", "/", "GET /", {}),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, route: str, parameters: dict[str, str]) -> None:
    found = ROUTER.find(method, path)

    assert found is not None
    assert (found[0].key, found[1]) == (route, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/nowhere"), ("POST", "/f.txt"), ("GET", "/f_txt"), ("GET", "/a/"), ("HEAD", "/g"), ("GET", "/gh")],
)
def test_a_request_without_a_route_finds_none(method: str, path: str) -> None:
    assert ROUTER.find(method, path) is None
