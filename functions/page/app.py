"""The settings page: one HTML file, its assets, and the configuration that its script reads.

The function reads ``static/`` once per instance. A name that is not a file of that directory is a 404. HEAD gets the
same answer as GET. API Gateway drops the body of HEAD and keeps Content-Length.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from leading import asked_file, leads_to
from replying import reply, reply_unless_known

HTML, JSON, TEXT = (f"{kind}; charset=utf-8" for kind in ("text/html", "application/json", "text/plain"))
ASSETS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one HTTP API request (payload 2.0): the page, one of its files, its configuration, or a redirect."""
    address, name = leads_to(event), asked_file(event)
    if address is not None:
        return reply(307, TEXT, "", {"Location": address})
    if not name:
        return reply(200, HTML, _files()["index.html"])
    if name == "config.json":
        names = {"supabaseUrl": "SUPABASE_URL", "supabaseAnonKey": "SUPABASE_ANON_KEY"}
        return reply(200, JSON, json.dumps({key: os.environ.get(value, "") for key, value in names.items()}))
    if name not in _files() or Path(name).suffix not in ASSETS:
        error = {"success": False, "error": "not_found", "message": "There is no such file."}
        return reply(404, JSON, json.dumps(error))
    return reply_unless_known(event, ASSETS[Path(name).suffix], _files()[name])


@cache
def _files() -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in Path(__file__).with_name("static").iterdir()}
