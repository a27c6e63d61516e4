"""The redirects to the page: for which requests, and to which address."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

PAGE = "home/settings/whatsapp"


def leads_to(event: dict[str, Any]) -> str | None:
    """Return the page's address for the root and for the page with a slash; None for any other request.

    The address is relative, so it works with any host, stage and prefix. It keeps the query.
    """
    path = str(event.get("rawPath", ""))
    if event.get("routeKey", "").endswith(" /"):
        # A custom domain may put a prefix before the root, and the request may leave out the slash behind it.
        _, _, prefix = path.rpartition("/")
        address = f"./{quote(prefix, safe='')}/{PAGE}" if prefix else PAGE
    elif path.endswith("/") and not asked_file(event):
        address = f"../{PAGE.rpartition('/')[2]}"
    else:
        return None
    query = quote(str(event.get("rawQueryString") or ""), safe="%&=+/?:@!$'()*,;[]", errors="replace")
    return f"{address}?{query}" if query else address


def asked_file(event: dict[str, Any]) -> str:
    """Return the name of the file that the path asks for; an empty text for the page itself."""
    return next(iter((event.get("pathParameters") or {}).values()), "")
