"""The page function, called with events in payload format 2.0."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from tests.support.handlers import load

APP = Path(__file__).resolve().parents[2] / "functions" / "page" / "app.py"
STATIC = APP.parent / "static"
Reply = dict[str, Any]
Get = Callable[..., Reply]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment of an installation with Supabase, in which no other page may frame ours."""
    monkeypatch.setenv("SUPABASE_URL", "https://project.supabase.test/")
    monkeypatch.setenv("SUPABASE_ANON_KEY", "anon-key")
    monkeypatch.delenv("FRAME_ANCESTORS", raising=False)


@pytest.fixture(scope="module")
def page() -> ModuleType:
    """The function's module."""
    return load(APP, "page_app")


@pytest.fixture(scope="module")
def get(page: ModuleType) -> Get:
    """Call the handler as API Gateway does for GET /home/settings/whatsapp[/{proxy+}]."""

    def call(file: str | None = None, **headers: str) -> Reply:
        path = "/home/settings/whatsapp"
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": f"GET {path}" + ("/{proxy+}" if file is not None else ""),
            "rawPath": path + (f"/{file}" if file is not None else ""),
            "rawQueryString": "",
            "headers": {name.replace("_", "-"): value for name, value in headers.items()},
            "requestContext": {"http": {"method": "GET"}, "stage": "$default"},
            "isBase64Encoded": False,
        }
        if file is not None:
            event["pathParameters"] = {"proxy": file}
        reply: Reply = page.handler(event, None)
        return reply

    return call


PAGE, FILES = "/home/settings/whatsapp", "/home/settings/whatsapp/{proxy+}"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("route", "asked", "led"),
    [
        ("/", "https://a.example/", "https://a.example/home/settings/whatsapp"),
        ("/", "https://a.example", "https://a.example/home/settings/whatsapp"),
        ("/", "http://127.0.0.1:3000/?lang=es&x=%2F", "http://127.0.0.1:3000/home/settings/whatsapp?lang=es&x=%2F"),
        ("/", "https://a.example/wa/", "https://a.example/wa/home/settings/whatsapp"),
        ("/", "https://a.example/wa", "https://a.example/wa/home/settings/whatsapp"),
        ("/", "https://a.example/evil:x", "https://a.example/evil%3Ax/home/settings/whatsapp"),
        (FILES, "https://a.example/home/settings/whatsapp/", "https://a.example/home/settings/whatsapp"),
        (FILES, "https://a.example/wa/home/settings/whatsapp/", "https://a.example/wa/home/settings/whatsapp"),
        (FILES, "https://a.example/home/settings/whatsapp/?a=b", "https://a.example/home/settings/whatsapp?a=b"),
        (PAGE, "https://a.example/home/settings/whatsapp/", "https://a.example/home/settings/whatsapp"),
    ],
)
def test_the_root_and_a_slash_redirect_to_the_page(
    page: ModuleType, method: str, route: str, asked: str, led: str
) -> None:
    parts = urlsplit(asked)
    event = {"routeKey": f"{method} {route}", "rawPath": parts.path or "/", "rawQueryString": parts.query}
    if route == FILES:
        event["pathParameters"] = {"proxy": ""}
    reply = page.handler(event, None)
    assert (reply["statusCode"], reply["body"], reply["headers"]["Cache-Control"]) == (307, "", "no-store")
    # A browser resolves the Location in the same way.
    assert urljoin(asked, reply["headers"]["Location"]) == led


@pytest.mark.parametrize("query", ["a=\r\nSet-Cookie: x=y", "\0", "é=\ud800", "//evil.example", "#x", "a b"])
def test_no_query_can_change_the_redirect_s_target(page: ModuleType, query: str) -> None:
    event = {"routeKey": "GET /", "rawPath": "/", "rawQueryString": query}
    location = page.handler(event, None)["headers"]["Location"]
    assert location.isascii()
    assert location.isprintable()
    assert " " not in location
    assert urlsplit(urljoin("https://a.example/", location))[:3] == ("https", "a.example", f"{PAGE}")


@pytest.mark.parametrize("route", [PAGE, FILES])
def test_the_page_and_its_files_are_not_redirected(page: ModuleType, route: str) -> None:
    for name in ("app.js", "a/b/", "/"):
        event = {"routeKey": f"GET {route}", "rawPath": f"{PAGE}/{name}", "pathParameters": {"proxy": name}}
        assert page.leads_to(event) is None
    assert page.leads_to({"routeKey": f"GET {PAGE}", "rawPath": PAGE}) is None
    assert page.leads_to({}) is None


def test_the_page_is_html(get: Get) -> None:
    reply = get()
    assert reply["statusCode"] == 200
    assert reply["headers"]["Content-Type"] == "text/html; charset=utf-8"
    assert reply["headers"]["Cache-Control"] == "no-store"
    assert reply["body"] == (STATIC / "index.html").read_text("utf-8")


@pytest.mark.parametrize("name", sorted(path.name for path in STATIC.iterdir() if path.suffix != ".html"))
def test_every_asset_is_served_with_its_type(get: Get, name: str) -> None:
    reply = get(name)
    utf8 = "; charset=utf-8"
    kinds = {".js": "text/javascript" + utf8, ".css": "text/css" + utf8, ".svg": "image/svg+xml"}
    assert reply["statusCode"] == 200
    assert reply["headers"]["Content-Type"] == kinds[Path(name).suffix]
    assert reply["body"] == (STATIC / name).read_text("utf-8")


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}'])
def test_an_asset_that_the_browser_has_is_a_304(get: Get, form: str) -> None:
    first = get("app.js")
    assert first["headers"]["Cache-Control"] == "no-cache"
    again = get("app.js", if_none_match=form.format(first["headers"]["ETag"]))
    assert (again["statusCode"], again["body"]) == (304, "")
    assert get("app.js", if_none_match='"another"')["statusCode"] == 200


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "..",
        "../app.py",
        "../../connect/app.py",
        "..%2Fapp.py",
        "%2e%2e/app.py",
        "/etc/passwd",
        "static/app.js",
        "app.py",
        "index.html",
        "app.js\x00.css",
        "APP.JS",
        "nothing.js",
        "app.js.map",
        "config.json/",
        "/",
        "a/b.js",
        "app.js/",
    ],
)
def test_another_path_of_the_page_is_not_found(get: Get, name: str) -> None:
    reply = get(name)
    assert reply["statusCode"] == 404
    assert reply["headers"]["Cache-Control"] == "no-store"
    body = json.loads(reply["body"])
    assert body.keys() == {"success", "error", "message"}
    assert (body["success"], body["error"]) == (False, "not_found")


def test_the_page_s_config_names_supabase(get: Get) -> None:
    reply = get("config.json")
    assert reply["headers"]["Content-Type"] == "application/json; charset=utf-8"
    assert reply["headers"]["Cache-Control"] == "no-store"
    assert json.loads(reply["body"]) == {
        "supabaseUrl": "https://project.supabase.test/",
        "supabaseAnonKey": "anon-key",
    }


def test_the_page_s_config_may_name_no_supabase(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPABASE_URL")
    monkeypatch.delenv("SUPABASE_ANON_KEY")
    assert json.loads(get("config.json")["body"]) == {"supabaseUrl": "", "supabaseAnonKey": ""}
    assert "connect-src 'self';" in get()["headers"]["Content-Security-Policy"]


@pytest.mark.parametrize("name", [None, "app.js", "config.json", "nothing"])
def test_every_answer_has_the_security_headers(get: Get, name: str | None) -> None:
    headers = get(name)["headers"]
    policy = dict(part.strip().partition(" ")[::2] for part in headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob:",
        "connect-src": "'self' https://project.supabase.test",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "camera=()" in headers["Permissions-Policy"]


@pytest.mark.parametrize(
    ("value", "sources"),
    [
        ("", "'none'"),
        ("none", "'none'"),
        ("'none'", "'none'"),
        ("self", "'self'"),
        ("https://app.example.com https://b.example.com", "https://app.example.com https://b.example.com"),
    ],
)
def test_the_template_s_parameter_allows_framing_pages(
    get: Get, monkeypatch: pytest.MonkeyPatch, value: str, sources: str
) -> None:
    monkeypatch.setenv("FRAME_ANCESTORS", value)
    assert f"frame-ancestors {sources};" in get()["headers"]["Content-Security-Policy"]


def test_the_page_names_no_other_host_and_nothing_inline() -> None:
    for path in STATIC.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, path.name
        assert "https:" not in text, path.name
    html = (STATIC / "index.html").read_text("utf-8")
    for inline in ("style=", "<style", "onclick="):
        assert inline not in html
    assert html.count("<script") == html.count('<script type="module" src=')


def test_the_page_function_imports_no_heavy_module() -> None:
    """Unused modules would make each cold start slower."""
    code = "import sys, app; print({'boto3', 'psycopg', 'pydantic', 'aws_lambda_powertools'} & set(sys.modules))"
    command = [sys.executable, "-B", "-c", code]
    run = subprocess.run(command, cwd=APP.parent, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
