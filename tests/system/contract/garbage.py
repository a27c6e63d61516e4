"""Malformed requests. A seed and a number always make the same request."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

ROUTES = {
    "/api/whatsapp/connect": "POST", "/api/whatsapp/status": "GET", "/api/whatsapp/qr": "GET",
    "/api/whatsapp/disconnect": "POST", "/home/settings/whatsapp": "GET", "/home/settings/whatsapp/app.js": "GET",
    "/home/settings/whatsapp/config.json": "GET", "/dev/token": "POST", "/dev/config": "GET", "/dev/functions": "GET",
    "/dev/phone/scan": "POST", "/dev/phone/unlink": "POST", "/dev/phone/devices": "GET",
    "/auth/v1/.well-known/jwks.json": "GET", "/": "GET",
}  # fmt: skip
# CONNECT is left out, because a connection no longer speaks HTTP after it.
METHODS = ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "get", "PRI", "X-" + "Y" * 300]
HEADERS = [
    "Accept", "Accept-Language", "If-None-Match", "Content-Type", "Content-Encoding", "Cookie", "Origin",
    "Access-Control-Request-Method", "Access-Control-Request-Headers", "User-Agent", "X-Forwarded-For", "Range",
    "Referer", "Forwarded", "X-HTTP-Method-Override", "X-Amzn-Trace-Id", "If-Modified-Since", "TE", "Via", "X-User-Id",
]  # fmt: skip
SANE = [
    "*/*", "image/png", "text/plain;q=0.5,*/*", "es-MX,es;q=0.9", "application/json", "text/plain; charset=utf-16",
    "multipart/form-data; boundary=x", "gzip", "deflate", "br", "http://127.0.0.1", "null", "POST", "*", 'W/"x", "y"',
    "bytes=0-10", "a=b; c", "en-" * 50, ";;;,,,", "q=NaN", "0", "-1", "1e999", "\t", "%00", "../../etc/passwd",
    "${jndi:ldap://x}", "' OR 1=1 --", "{{7*7}}", "\\ud800",
]  # fmt: skip
ESCAPES = ["%00", "%ff%fe", "%2e%2e%2f", "%c0%af", "%zz", "%", "%2", "%0d%0aX:y", "%25", "%F0%9F%92%A9", "//", "/./",
           "/../", ";x=y", "\\", "'", "{file}", "+", "#x", "*", "%2F", "//evil.example/"]  # fmt: skip
TEXTS = [
    "",
    "\0",
    "é",
    "💩",
    "\ud800",
    "x" * 5000,
    "1' OR '1'='1",
    "../" * 50,
    "null",
    "٣٤",
    "\u202e",
    "\x1b[2J",
    "NaN",
]
FIELDS = ["userId", "qr", "number", "status", "attemptId", "phase", "__proto__", "id", ""]


@dataclass(frozen=True)
class Request:
    """One request, as bytes.

    Attributes
    ----------
    framed
        Whether this is HTTP with one clear end. Then an answer must come, and the connection may serve the next
        request.
    method
        The method, because the answer to HEAD has no body.
    """

    seed: int
    number: int
    wire: bytes = field(repr=False)
    framed: bool
    method: str = "GET"

    def __str__(self) -> str:
        shown = repr(self.wire if len(self.wire) < 3000 else self.wire[:3000] + b"...")
        return f"seed {self.seed}, request {self.number}, {len(self.wire)} bytes: {shown}"


def make(seed: int, number: int, token: str) -> Request:
    """Return one request. Some requests contain the valid `token`."""
    dice = Random(f"{seed} {number}")
    maker = _Maker(dice, token)
    if dice.random() < 0.8:
        method, wire = maker.framed()
        return Request(seed, number, wire, framed=True, method=method)
    return Request(seed, number, maker.broken(), framed=False)


class _Maker:
    def __init__(self, dice: Random, token: str) -> None:
        self._dice = dice
        self._token = token

    def framed(self) -> tuple[str, bytes]:
        """A request with a valid frame and any content."""
        method, target = self._known() if self._dice.random() < 0.6 else (self._method(), self._target())
        body = self._body() if self._dice.random() < 0.4 else b""
        lines = [f"{method} ".encode() + target + b" HTTP/1.1", b"Host: 127.0.0.1", *self._headers()]
        if self._dice.random() < 0.1:
            chunks = [body[start : start + 700] for start in range(0, len(body), 700)]
            lines.append(b"Transfer-Encoding: chunked")
            body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        elif body or self._dice.random() < 0.5:
            lines.append(b"Content-Length: %d" % len(body))
        return method, b"\r\n".join(lines) + b"\r\n\r\n" + body

    def broken(self) -> bytes:
        """Something that is not quite HTTP."""
        makers: list[Callable[[], bytes]] = [
            lambda: self._dice.randbytes(self._dice.randrange(1, 3000)),
            lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self._dice.randbytes(500),
            lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self._dice.randbytes(100),
            lambda: b"\0" * self._dice.randrange(1, 3000),
            self._mutated,
            self._mutated,
            self._truncated,
            self._head_with(b"Content-Length: -1"),
            self._head_with(b"Content-Length: 99999999999999999999"),
            self._head_with(b"Content-Length: 5\r\nContent-Length: 6", b"12345"),
            self._head_with(b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"0\r\n\r\nGET /x HTTP/1.1\r\n\r\n"),
            self._head_with(b"Transfer-Encoding: chunked", b"zz\r\nxx\r\n0\r\n\r\n"),
            self._head_with(b"Transfer-Encoding: chunked", b"fffffffffffffffff\r\nx"),
            self._head_with(b"Transfer-Encoding: gzip, chunked", b"1\r\nx\r\n0\r\n\r\n"),
            self._head_with(b"Transfer-Encoding: identity, x", b"x"),
            self._head_with(b"Expect: 100-continue\r\nContent-Length: 10"),
            self._head_with(b"Expect: 200-ok"),
            self._head_with(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x", b"\x81\x05hello"),
            self._head_with(b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk"),
            self._head_with(b"Host: y"),
            self._head_with(b"no colon here"),
            self._head_with(b": no name"),
            self._head_with(b"Space : before"),
            self._head_with(b"Folded: a\r\n b\r\n\tc"),
            self._head_with(b"N\xffme: x"),
            self._head_with(b"Null: a\0b"),
            self._head_with(b"X: " + b"y" * 100_000),
            self._head_with(b"\r\n".join(b"X-%d: y" % number for number in range(500))),
            lambda: b"GET " + self._target() + b"\r\n\r\n",
            lambda: b"GET " + self._target() + b" HTTP/9.9\r\n\r\n",
            lambda: b"GET " + self._target() + b" HTTP/1.0\r\n\r\n",
            lambda: b"GET " + self._target() + b" HTTP/1.1\nHost: x\n\n",
            lambda: b"GET  " + self._target() + b"  HTTP/1.1\r\nHost: x\r\n\r\n",
            lambda: b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n" + self._dice.randbytes(50),
            lambda: b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            lambda: self._dice.randbytes(5) + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
            lambda: b"GET " + self._dice.randbytes(50) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            lambda: b"\r\n" * self._dice.randrange(1, 200) + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        ]  # fmt: skip
        return self._dice.choice(makers)()

    def _mutated(self) -> bytes:
        wire = bytearray(self.framed()[1])
        for _ in range(self._dice.randrange(1, 10)):
            place = self._dice.randrange(min(len(wire), 600))
            if self._dice.random() < 0.7:
                wire[place] = self._dice.randrange(256)
            else:
                del wire[place : place + self._dice.randrange(1, 20)]
        return bytes(wire)

    def _truncated(self) -> bytes:
        wire = self.framed()[1]
        return wire[: self._dice.randrange(1, len(wire))]

    def _head_with(self, lines: bytes, body: bytes = b"") -> Callable[[], bytes]:
        return lambda: (
            b"%s %s HTTP/1.1\r\nHost: x\r\n" % (self._method().encode(), self._target()) + lines + b"\r\n\r\n" + body
        )

    def _known(self) -> tuple[str, bytes]:
        known = list(ROUTES.items())
        path, method = self._dice.choice(known + known[:4])  # paths of the API are twice as frequent
        return method, (path + self._query()).encode()

    def _method(self) -> str:
        return self._dice.choice(["GET", "POST"] if self._dice.random() < 0.7 else METHODS)

    def _target(self) -> bytes:
        path = self._dice.choice(list(ROUTES))
        luck = self._dice.random()
        if luck < 0.3:
            for _ in range(self._dice.randrange(1, 4)):
                place = self._dice.randrange(len(path) + 1)
                path = path[:place] + self._dice.choice(ESCAPES) + path[place:]
        elif luck < 0.35:
            path = "/" + "".join(f"%{self._dice.randrange(256):02x}" for _ in range(self._dice.randrange(1, 60)))
        elif luck < 0.37:
            path += "/" + "a/" * self._dice.randrange(1, 6000)
        elif luck < 0.39:
            path = self._dice.choice(["*", "http://127.0.0.1/api/whatsapp/qr", "x", "?", "http://[::1", "//", "http:"])
        elif luck < 0.41:
            path += self._dice.choice(["/é", "/💩", "\u00a0"])
        return (path + self._query()).encode()

    def _query(self) -> str:
        if self._dice.random() < 0.7:
            return ""
        names = [*FIELDS, "%00", "%ff", "a[]", "%", "x" * 500]
        values = [*ESCAPES, "34600111222", "é", "💩", "", "x" * 3000, "=", "&&"]
        pairs = [f"{self._dice.choice(names)}={self._dice.choice(values)}" for _ in range(self._dice.randrange(1, 5))]
        return "?" + self._dice.choice("&;").join(pairs).replace("#", "")

    def _headers(self) -> list[bytes]:
        lines = [self._dice.choice(HEADERS).encode() + b": " + self._value() for _ in range(self._dice.randrange(5))]
        if self._dice.random() < 0.1:
            lines.append(b"If-None-Match: *")
        if self._dice.random() < 0.05:
            lines.append(b"X-" + b"n" * self._dice.randrange(1, 9000) + b": " + self._value())
        if self._dice.random() < 0.7:
            lines.append(b"Authorization: " + self._authorization())
        return lines

    def _value(self) -> bytes:
        luck = self._dice.random()
        if luck < 0.6:
            return self._dice.choice(SANE).encode()
        if luck < 0.8:
            # Bytes that are invalid in a header, except line ends.
            return bytes(self._dice.choice([*range(0x21, 0x7F), *range(0x80, 0x100)]) for _ in range(40))
        if luck < 0.9:
            return "ünïcödé 💩".encode()
        return b"v" * self._dice.randrange(1, 12_000)

    def _authorization(self) -> bytes:
        luck = self._dice.random()
        if luck < 0.45:
            return f"Bearer {self._token}".encode()
        if luck < 0.6:
            return self._dice.choice(["Bearer ", "Basic ", "", "bearer", "Bearer  ", "Token "]).encode() + self._value()
        head, claims, signature = self._token.split(".")
        parts = {
            0: [_encoded(self._header()), head, signature, "", "."],
            1: [claims, head, "", _encoded("[" * 3000), _encoded("null")],
            2: [signature, "", "AA", "=" * 8, signature[::-1]],
        }
        return b"Bearer " + ".".join(self._dice.choice(parts[place]) for place in range(3)).encode()

    def _header(self) -> str:
        """The header of a token."""
        strange = [None, 1, True, [], {}, ["x"] * 100, "x" * 4000, "none", "HS256", "ES256", "RS256", *TEXTS]
        if self._dice.random() < 0.2:
            deep = self._dice.randrange(500, 5500)
            return self._dice.choice(["[" * deep, '{"a":' * (deep // 5), '{"alg":"ES256","kid":' + "[" * deep])
        fields = {name: self._dice.choice(strange) for name in ("alg", "kid", "typ", "crit", "b64", "jku", "jwk")}
        return json.dumps({name: value for name, value in fields.items() if self._dice.random() < 0.7})

    def _body(self) -> bytes:
        luck = self._dice.random()
        if luck < 0.5:
            return json.dumps({self._dice.choice(FIELDS): self._json(3) for _ in range(3)}).encode("utf-8")
        if luck < 0.6:
            return json.dumps(self._json(4)).encode()
        if luck < 0.7:
            return self._dice.choice(
                [b"[" * 100_000, b'{"a":' * 50_000, b"9" * 10_000, b'{"userId": 1e999}', b"{", b'"']
            )
        if luck < 0.8:
            return gzip.compress(b"x" * 10_000, mtime=0)[: self._dice.randrange(1, 60)]
        if luck < 0.99:
            return self._dice.randbytes(self._dice.randrange(1, 3000))
        return b"x" * self._dice.choice([5_000_000, 7_000_000, 11_000_000])

    def _json(self, depth: int) -> object:
        luck = self._dice.random()
        if luck < 0.2 and depth:
            return [self._json(depth - 1) for _ in range(self._dice.randrange(4))]
        if luck < 0.4 and depth:
            return {self._dice.choice(FIELDS): self._json(depth - 1) for _ in range(self._dice.randrange(4))}
        return self._dice.choice([*TEXTS, None, True, 0, -1, 1e308, float("inf"), 10**400])


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode(errors="replace")).decode().rstrip("=")
