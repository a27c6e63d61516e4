"""The HTTP API in front of functions: events, answers, authorizer, CORS, limits, garbage."""

from __future__ import annotations

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.stack import PATIENCE_SECONDS, call
from tests.tools.local.fixture_runner import JSON, ORIGIN, FixtureRunner


def _event(runner: FixtureRunner, path: str, **headers: str) -> Any:
    return runner.get(path, **headers).json()["event"]


def test_an_event_is_in_payload_format_2(runner: FixtureRunner) -> None:
    event = _event(runner, "/things/a%20b?x=1&x=2&y=", X_Thing="yes", Cookie="a=1; b=2")

    assert event["version"] == "2.0"
    assert event["routeKey"] == "GET /things/{id}"
    assert event["rawPath"] == "/things/a b"
    assert event["pathParameters"] == {"id": "a b"}
    assert event["rawQueryString"] == "x=1&x=2&y="
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["headers"]["x-thing"] == "yes"
    assert event["cookies"] == ["a=1", "b=2"]
    assert "cookie" not in event["headers"]
    assert event["requestContext"]["http"]["method"] == "GET"
    assert event["isBase64Encoded"] is False


def test_a_binary_body_arrives_in_base64(runner: FixtureRunner) -> None:
    connection = http.client.HTTPConnection(urlsplit(runner.url).netloc, timeout=PATIENCE_SECONDS)
    connection.request("POST", "/probe", b"\xff\x00", {"content-type": "application/octet-stream"})
    event = json.loads(connection.getresponse().read())["event"]
    connection.close()

    assert event["isBase64Encoded"] is True
    assert event["body"] == "/wA="


def test_a_compressed_body_reaches_the_function_unchanged(runner: FixtureRunner) -> None:
    connection = http.client.HTTPConnection(urlsplit(runner.url).netloc, timeout=PATIENCE_SECONDS)
    sent = {"content-type": "application/octet-stream", "content-encoding": "gzip"}
    connection.request("POST", "/probe", b"\xff\x00", sent)
    answer = connection.getresponse()
    event = json.loads(answer.read())["event"]
    connection.close()

    assert answer.status == 200
    assert event["body"] == "/wA="


def test_a_function_sees_only_its_own_environment(runner: FixtureRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = runner.get("/probe").json()["environment"]

    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "ProbeFunction"
    assert environment["WORKER_FUNCTION"] == "WorkerFunction"
    assert environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert not {"HOME", "USER", "DATABASE_URL", "HTTPS_PROXY", "PYTEST_CURRENT_TEST"} & set(environment)


@pytest.mark.parametrize(
    ("answer", "status", "body", "headers"),
    [
        ({"statusCode": 201, "headers": {"ETag": '"x"'}, "body": "hi"}, 201, b"hi", {"etag": '"x"'}),
        ({"statusCode": 200, "body": "/wA=", "isBase64Encoded": True}, 200, b"\xff\x00", {}),
        ({"statusCode": 204}, 204, b"", {}),
        ({"statusCode": 304, "headers": {"etag": "a"}}, 304, b"", {"etag": "a"}),
        ({"any": "thing"}, 200, b'{"any": "thing"}', {"content-type": "application/json"}),
        ("text", 200, b"text", {"content-type": "application/json"}),
        ({"statusCode": "many"}, 500, b'{"message":"Internal Server Error"}', {}),
        ({"statusCode": 200, "body": "%", "isBase64Encoded": True}, 500, b'{"message":"Internal Server Error"}', {}),
        ({"statusCode": 200, "headers": {"a": "b\r\nc: d"}}, 500, b'{"message":"Internal Server Error"}', {}),
    ],
)
def test_a_functions_answer_becomes_a_response(
    runner: FixtureRunner, answer: object, status: int, body: bytes, headers: dict[str, str]
) -> None:
    response = runner.ask("/probe", do="answer", answer=answer)

    assert (response.status, response.body) == (status, body)
    for name, value in headers.items():
        assert response.headers[name] == value


def test_cookies_are_separate_headers(runner: FixtureRunner) -> None:
    response = runner.ask("/probe", do="answer", answer={"statusCode": 200, "cookies": ["a=1; Path=/", "b=2"]})

    assert response.headers.get_all("set-cookie") == ["a=1; Path=/", "b=2"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("DELETE", "/secret"), ("OPTIONS", "/secret")])
def test_a_path_without_a_route_is_not_found(runner: FixtureRunner, method: str, path: str) -> None:
    answer = runner.get(path, method)

    assert (answer.status, answer.json()) == (404, {"message": "Not Found"})


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": 200, "headers": {"ETag": '"x"', "Content-Type": "text/x"}, "body": "five!"},
        {"statusCode": 200, "body": "/wA=", "isBase64Encoded": True},
        {"statusCode": 307, "headers": {"Location": "there"}, "body": ""},
        {"statusCode": 304, "headers": {"etag": "a"}},
        {"statusCode": 404, "body": "no"},
        {"statusCode": 500},
    ],
    ids=lambda answer: str(answer["statusCode"]),
)
def test_head_gets_the_headers_of_get_without_a_body(runner: FixtureRunner, answer: object) -> None:
    asked = json.dumps({"do": "answer", "answer": answer}).encode()
    connection = http.client.HTTPConnection(urlsplit(runner.url).netloc, timeout=PATIENCE_SECONDS)
    found = []
    for method in ("GET", "HEAD", "GET"):  # on one connection, where a body after HEAD would spoil the next answer
        connection.request(method, "/probe", asked, JSON)
        response = connection.getresponse()
        body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        found.append((response.status, headers.get("content-length"), headers.keys(), body))
    connection.close()

    assert found[0] == found[2]
    assert found[1] == (*found[0][:3], b"")


def test_a_greedy_route_takes_the_rest_and_a_slash(runner: FixtureRunner) -> None:
    for path, rest in (("/files/", ""), ("/files/a/b%20c/", "a/b c/"), ("/files/%2e%2e", "..")):
        event = _event(runner, path)
        assert (event["routeKey"], event["pathParameters"]) == ("GET /files/{proxy+}", {"proxy": rest})
    assert runner.get("/files").status == 404


def test_the_authorizer_s_answer_is_kept(runner: FixtureRunner) -> None:
    assert runner.get("/secret").status == 401
    assert runner.notes("authorized") == []

    first = runner.get("/secret", Authorization="good")
    second = runner.get("/secret", Authorization="good")
    refused = [runner.get("/secret", Authorization="bad") for _ in range(2)]
    broken = [runner.get("/secret", Authorization="boom") for _ in range(2)]

    context = first.json()["event"]["requestContext"]["authorizer"]
    assert context == {"lambda": {"user": "ada", "route": "GET /secret"}}
    assert second.status == 200
    assert [(one.status, one.json()) for one in refused] == [(403, {"message": "Forbidden"})] * 2
    assert [one.status for one in broken] == [500, 500]
    assert runner.notes("authorized") == ["good", "bad", "boom", "boom"]


def test_an_authorizer_without_a_source_is_asked_each_time(runner: FixtureRunner) -> None:
    before = len(runner.notes("asked"))
    answers = [runner.get("/asked", Authorization="good") for _ in range(2)] + [runner.get("/asked")]

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert runner.notes("asked")[before:] == ["good", "good", "nothing"]


def test_a_preflight_is_answered_by_the_api(runner: FixtureRunner) -> None:
    answer = runner.get("/secret", "OPTIONS", Origin=ORIGIN, Access_Control_Request_Method="GET")

    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-methods"] == "GET,POST"
    assert answer.headers["access-control-allow-headers"] == "authorization"
    assert answer.headers["access-control-max-age"] == "60"


def test_only_allowed_origins_get_cors_headers(runner: FixtureRunner) -> None:
    ours = runner.get("/secret", Origin=ORIGIN)
    foreign = runner.get("/probe", Origin="https://evil.example")
    preflight = runner.get("/probe", "OPTIONS", Origin="https://evil.example", Access_Control_Request_Method="GET")

    assert ours.status == 401
    assert ours.headers["access-control-allow-origin"] == ORIGIN
    assert ours.headers["access-control-expose-headers"] == "etag"
    for answer in (foreign, preflight):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert (foreign.status, preflight.status) == (200, 204)


def test_too_large_a_request_is_refused_with_its_status(runner: FixtureRunner) -> None:
    headers = runner.get("/probe", X_Long="x" * 11_000)
    line = runner.get("/probe?" + "x" * 11_000)
    names = runner.get("/probe", **{"x" * 11_000: "short"})
    event = call("POST", f"{runner.url}/probe", "x" * 7_000_000, JSON)
    body = call("POST", f"{runner.url}/probe", "x" * 11_000_000, JSON)

    assert (headers.status, headers.json()) == (431, {"message": "Request Header Fields Too Large"})
    assert (line.status, names.status) == (431, 200)
    assert event.status == 413
    assert (body.status, body.json()) == (413, {"message": "Request Entity Too Large"})


def test_an_answer_of_more_than_6_mb_is_an_error(runner: FixtureRunner) -> None:
    assert runner.ask("/probe", do="large", bytes=6_500_000).status == 500
    assert runner.ask("/probe", do="large", bytes=5_000_000).status == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /probe HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /probe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /probe HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /probe HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort",
        b"GET /%ff%fe/%00?%ff=%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"\x00" * 1000,
    ],
)
def test_garbage_does_not_end_the_server(runner: FixtureRunner, garbage: bytes) -> None:
    address = urlsplit(runner.url)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)

    assert answer == b"" or answer.startswith(b"HTTP/1.")
    assert b" 500 " not in answer.splitlines()[0] if answer else True
    assert b"Traceback" not in answer
    assert runner.get("/probe").status == 200


def test_a_connection_serves_many_requests(runner: FixtureRunner) -> None:
    connection = http.client.HTTPConnection(urlsplit(runner.url).netloc, timeout=PATIENCE_SECONDS)
    ports = set()
    for _ in range(5):
        connection.request("GET", "/probe")
        ports.add(connection.sock.getsockname()[1])
        assert connection.getresponse().read()
    connection.close()

    assert len(ports) == 1


def test_many_callers_at_once_are_all_answered(runner: FixtureRunner) -> None:
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: runner.get("/probe").status, range(300)))

    assert answers == [200] * 300
