"""Finds the route of the HTTP API for a request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from infra.template.stack_definition import Route

_PARAMETER = re.compile(r"\{(\w+)(\+?)\}")


class Router:
    """Finds routes as an HTTP API does: exact paths first, a method before ANY, ``{name+}`` last.

    As in an HTTP API, ``/a/{name+}`` also matches ``/a/``. No other route can match this path.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [(route, _pattern(route.path)) for route in sorted(routes, key=_vagueness)]

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Return the route of a request, and the parameters in its percent-encoded path."""
        for route, pattern in self._routes:
            if route.method not in (method, "ANY"):
                continue
            match = pattern.fullmatch(path)
            if match:
                return route, {name: unquote(value) for name, value in match.groupdict().items()}
        return None


def _vagueness(route: Route) -> tuple[list[int], bool]:
    """Return a key that sorts exact segments before ``{name}``, ``{name}`` before ``{name+}``, and ANY last."""
    segments = route.path.split("/")
    return [segment.endswith("}") + segment.endswith("+}") for segment in segments], route.method == "ANY"


def _pattern(path: str) -> re.Pattern[str]:
    parts = []
    end = 0
    for match in _PARAMETER.finditer(path):
        parts.append(re.escape(path[end : match.start()]))
        parts.append(f"(?P<{match[1]}>{'.*' if match[2] else '[^/]+'})")
        end = match.end()
    return re.compile("".join(parts) + re.escape(path[end:]))
