"""The settings page: one HTML file, its assets, and the configuration its script may know.

Everything is read from ``static/`` once per instance; a name that is not a file of that directory is a 404. HEAD gets
the same answer as GET: whatever speaks HTTP in front of us leaves the body away and keeps its length.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

HTML, JSON = "text/html; charset=utf-8", "application/json; charset=utf-8"
ASSETS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
PAGE = "home/settings/whatsapp"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'{supabase}; base-uri 'none'; form-action 'none'; frame-ancestors {frames}; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
FRAMES = {"": "'none'", "none": "'none'", "self": "'self'"}  # else a list of origins, as CSP writes it


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one HTTP API request (payload 2.0): the page, one of its files, its configuration, or the way there."""
    name = next(iter((event.get("pathParameters") or {}).values()), "")
    path = str(event.get("rawPath", ""))
    if event.get("routeKey", "").endswith(" /"):
        # A custom domain may put a prefix before the root, and people leave its slash away.
        _, _, prefix = path.rpartition("/")
        return _redirect(event, f"./{quote(prefix, safe='')}/{PAGE}" if prefix else PAGE)
    if not name and path.endswith("/"):
        return _redirect(event, f"../{PAGE.rpartition('/')[2]}")
    if not name:
        return _reply(200, HTML, _files()["index.html"])
    if name == "config.json":
        names = {"supabaseUrl": "SUPABASE_URL", "supabaseAnonKey": "SUPABASE_ANON_KEY"}
        return _reply(200, JSON, json.dumps({key: os.environ.get(value, "") for key, value in names.items()}))
    if name not in _files() or Path(name).suffix not in ASSETS:
        error = {"success": False, "error": "not_found", "message": "There is no such file."}
        return _reply(404, JSON, json.dumps(error))
    body = _files()[name]
    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    seen = (event.get("headers") or {}).get("if-none-match", "")
    known = tag in (part.strip().removeprefix("W/") for part in seen.split(","))
    revalidate = {"Cache-Control": "no-cache", "ETag": tag}
    return _reply(304 if known else 200, ASSETS[Path(name).suffix], "" if known else body, revalidate)


def _redirect(event: dict[str, Any], location: str) -> dict[str, Any]:
    """Lead to the page. The address is relative, so it is right behind any host, stage and prefix."""
    query = quote(str(event.get("rawQueryString") or ""), safe="%&=+/?:@!$'()*,;[]", errors="replace")
    headers = {"Location": f"{location}?{query}" if query else location, "Cache-Control": "no-store"}
    return _reply(307, "text/plain; charset=utf-8", "", headers)


@cache
def _files() -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in Path(__file__).with_name("static").iterdir()}


def _reply(status: int, kind: str, body: str, caching: dict[str, str] | None = None) -> dict[str, Any]:
    url, frames = urlsplit(os.environ.get("SUPABASE_URL", "")), os.environ.get("FRAME_ANCESTORS", "").strip()
    supabase = f" {url.scheme}://{url.netloc}" if url.netloc else ""
    headers = {
        "Content-Type": kind,
        "Content-Security-Policy": POLICY.format(supabase=supabase, frames=FRAMES.get(frames, frames)),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    }
    return {
        "statusCode": status,
        "headers": headers | (caching or {"Cache-Control": "no-store"}),
        "body": body,
    }
