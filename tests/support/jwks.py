"""Publishes the keys of a Supabase project on a loopback HTTP server, and signs tokens with these or other keys."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

SECRET = "a shared secret of more than thirty-two bytes"
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Project:
    """One project: its keys, and the requests for them."""

    def __init__(self) -> None:
        self.keys: dict[str, PrivateKey] = {}
        self.asked = 0
        # If set, the server answers with this status and body instead of the keys.
        self.instead: tuple[int, bytes] | None = None
        # If set, this function writes the whole answer.
        self.answers: Callable[[BaseHTTPRequestHandler], None] | None = None
        self.headers: Message | None = None  # of the last request
        self.url = ""
        self.add("ec", ec.generate_private_key(ec.SECP256R1()))
        self.add("rsa", rsa.generate_private_key(65537, 2048))
        self.user = uuid4()

    def reset(self) -> None:
        """Let the server answer with the keys again, and count requests from zero."""
        self.asked, self.instead, self.answers, self.headers = 0, None, None, None

    def add(self, kid: str, key: PrivateKey) -> None:
        """Publish a key."""
        self.keys[kid] = key

    @property
    def issuer(self) -> str:
        """The issuer that the tokens name."""
        return f"{self.url}/auth/v1"

    def claims(self, **changed: object) -> dict[str, object]:
        """The claims of an end user, with changes. A change to None removes the claim."""
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": self.issuer, "sub": str(self.user), "aud": "authenticated", "role": "authenticated",
            "iat": now, "exp": now + 3600,
        }  # fmt: skip
        return {name: value for name, value in (claims | changed).items() if value is not None}

    def token(self, kid: str = "ec", key: PrivateKey | None = None, **changed: object) -> str:
        """A token signed with the project's key of this id, or with the given key."""
        algorithm = "RS256" if isinstance(key or self.keys[kid], rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(self.claims(**changed), key or self.keys[kid], algorithm, {"kid": kid})

    def jwks(self) -> bytes:
        """The published keys, as JSON."""
        return json.dumps({"keys": [self._jwk(kid, key) for kid, key in self.keys.items()]}).encode()

    def _jwk(self, kid: str, key: PrivateKey) -> dict[str, Any]:
        if isinstance(key, rsa.RSAPrivateKey):
            public = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
            return public | {"kid": kid, "alg": "RS256", "use": "sig"}
        return ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": kid, "alg": "ES256", "use": "sig"}


def unsigned(header: dict[str, object], claims: dict[str, object], signature: bytes = b"") -> str:
    """A token with this signature, without any signing."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def legacy_key(role: str) -> str:
    """An anon or service key, as Supabase makes it with the legacy secret."""
    claims = {"iss": "supabase", "ref": "abcd", "role": role, "iat": int(time.time()), "exp": int(time.time()) + 3600}
    return jwt.encode(claims, SECRET, "HS256")


def unknown(project: Project, number: int = 0) -> str:
    """A well-formed token that names a key which is not published."""
    return jwt.encode(project.claims(), project.keys["ec"], "ES256", {"kid": f"unknown-{number}"})


@contextmanager
def served(project: Project, tls: ssl.SSLContext | None = None) -> Iterator[Project]:
    """Serve the project's keys until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            project.asked += 1
            project.headers = self.headers
            if project.answers is not None:
                with suppress(ConnectionError):
                    project.answers(self)
                return
            found = self.path == "/auth/v1/.well-known/jwks.json"
            status, body = project.instead or ((200, project.jwks()) if found else (404, b"{}"))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    project.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    try:
        yield project
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
