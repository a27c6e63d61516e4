"""Which route of the HTTP API a request takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

from infra.template.stack_definition import Route

_PARAMETER = re.compile(r"\{(\w+)(\+?)\}")


class Router:
    """Finds routes as an HTTP API does: exact paths first, a method before ANY, ``{name+}`` for all that is left.

    ``/a/{name+}`` also takes ``/a/`` there, which no other route can have.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [(route, _pattern(route.path)) for route in sorted(routes, key=_vagueness)]

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a request and the parameters in its (still quoted) path."""
        for route, pattern in self._routes:
            if route.method not in (method, "ANY"):
                continue
            match = pattern.fullmatch(path)
            if match:
                return route, {name: unquote(value) for name, value in match.groupdict().items()}
        return None


def _vagueness(route: Route) -> tuple[list[int], bool]:
    """Sorts exact segments before ``{name}``, that before ``{name+}``, and ANY behind its methods."""
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
