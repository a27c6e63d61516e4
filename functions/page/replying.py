"""The answers of the page function. Each has the headers that protect the page."""

from __future__ import annotations

import hashlib
import os
from typing import Any
from urllib.parse import urlsplit

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'{supabase}; base-uri 'none'; form-action 'none'; frame-ancestors {frames}; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
FRAMES = {"": "'none'", "none": "'none'", "self": "'self'"}  # any other value is a list of origins, as CSP writes it


def reply(status: int, kind: str, body: str, more: dict[str, str] | None = None) -> dict[str, Any]:
    """Answer with a body that no cache may keep, unless `more` has another Cache-Control."""
    url, frames = urlsplit(os.environ.get("SUPABASE_URL", "")), os.environ.get("FRAME_ANCESTORS", "").strip()
    supabase = f" {url.scheme}://{url.netloc}" if url.netloc else ""
    headers = {
        "Content-Type": kind,
        "Cache-Control": "no-store",
        "Content-Security-Policy": POLICY.format(supabase=supabase, frames=FRAMES.get(frames, frames)),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    }
    return {"statusCode": status, "headers": headers | (more or {}), "body": body}


def reply_unless_known(event: dict[str, Any], kind: str, body: str) -> dict[str, Any]:
    """Answer with a body that browsers may keep, if they ask each time whether it has changed (304: it has not)."""
    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    seen = (event.get("headers") or {}).get("if-none-match", "")
    known = tag in (part.strip().removeprefix("W/") for part in seen.split(","))
    return reply(304 if known else 200, kind, "" if known else body, {"Cache-Control": "no-cache", "ETag": tag})
