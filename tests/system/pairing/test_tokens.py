"""Tokens against the whole system over HTTP: the gateway, the authorizer, the published keys, the handlers.

Most of these tokens are signed with the system's own key, so they have only the one fault that the test names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.jwks import unsigned
from tests.support.stack import Answer, RunningSystem, call

CALLS = [("GET", "status"), ("GET", "qr"), ("POST", "connect"), ("POST", "disconnect")]


class Mint:
    """Makes tokens as the system's Supabase would, or with one fault."""

    def __init__(self, stack: RunningSystem) -> None:
        self.user = stack.user()
        self.key = serialization.load_pem_private_key((stack.data_dir / "signing-key.pem").read_bytes(), None)
        self.header = {"kid": jwt.get_unverified_header(self.user.token)["kid"]}
        self._claims = jwt.decode(self.user.token, options={"verify_signature": False})

    def claims(self, **changed: object) -> dict[str, Any]:
        """The user's claims with changes. None leaves a claim out."""
        return {name: value for name, value in (self._claims | changed).items() if value is not None}

    def token(self, **changed: object) -> str:
        """A correctly signed token."""
        return jwt.encode(self.claims(**changed), self.key, "ES256", self.header)  # type: ignore[arg-type]

    def public_pem(self) -> bytes:
        """The public part of the key."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, form)


def now(seconds: float = 0) -> int:
    return int(time.time() + seconds)


def of_a_public_key(mint: Mint) -> str:
    """A token signed with the public key as a shared secret. PyJWT refuses to make one."""
    algorithm = jwt.get_algorithm_by_name("HS256")
    head = unsigned({"alg": "HS256", "typ": "JWT"} | mint.header, mint.claims()).rpartition(".")[0]
    signature = algorithm.sign(head.encode(), mint.public_pem())
    return f"{head}.{jwt.utils.base64url_encode(signature).decode()}"


def legacy_key(role: str) -> str:
    """A project's anon or service key, as Supabase signs it with the legacy secret."""
    claims = {"iss": "supabase", "ref": "abcd", "role": role, "iat": now(), "exp": now(3600)}
    return jwt.encode(claims, "a shared secret of more than thirty-two bytes", "HS256")


BAD: dict[str, Callable[[Mint], str]] = {
    "expired": lambda mint: mint.token(exp=now(-60)),
    "expired a second ago": lambda mint: mint.token(exp=now(-1)),
    "never expires": lambda mint: mint.token(exp=None),
    "not yet valid": lambda mint: mint.token(nbf=now(60)),
    "other project's issuer": lambda mint: mint.token(iss="https://other.supabase.co/auth/v1"),
    "other audience": lambda mint: mint.token(aud="admin"),
    "anon key": lambda mint: mint.token(role="anon"),
    "service-role key": lambda mint: mint.token(role="service_role"),
    "legacy anon key": lambda _: legacy_key("anon"),
    "legacy service-role key": lambda _: legacy_key("service_role"),
    "no subject": lambda mint: mint.token(sub=None),
    "subject is no UUID": lambda mint: mint.token(sub="root"),
    "unsigned": lambda mint: unsigned({"alg": "none", "typ": "JWT"} | mint.header, mint.claims()),
    "signature of another token": lambda mint: (
        f"{mint.token(sub=str(uuid4())).rpartition('.')[0]}.{mint.user.token.rpartition('.')[2]}"
    ),
    "HS256 with the public key": of_a_public_key,
    "HS256 with a secret of its own": lambda mint: jwt.encode(mint.claims(), "x" * 40, "HS256", mint.header),
    "stranger's key": lambda mint: jwt.encode(
        mint.claims(), ec.generate_private_key(ec.SECP256R1()), "ES256", mint.header
    ),
    "unknown kid": lambda mint: jwt.encode(mint.claims(), mint.key, "ES256", {"kid": "other"}),  # type: ignore[arg-type]
    "no kid": lambda mint: jwt.encode(mint.claims(), mint.key, "ES256"),  # type: ignore[arg-type]
    "oversized": lambda mint: mint.token(padding="x" * 6500),
}


@pytest.fixture(scope="module")
def mint(stack: RunningSystem) -> Mint:
    """The maker of tokens for the running system."""
    return Mint(stack)


def everywhere(stack: RunningSystem, token: str) -> Iterator[Answer]:
    """Try each call of the API with a token."""
    for method, path in CALLS:
        yield call(method, f"{stack.url}/api/whatsapp/{path}", headers={"Authorization": f"Bearer {token}"})


def test_a_token_of_the_system_s_key_is_accepted(stack: RunningSystem, mint: Mint) -> None:
    """Shows that the key is right. With a wrong key, the other tests would pass for the wrong reason."""
    assert [answer.status for answer in everywhere(stack, mint.token(exp=now(60)))] == [200, 404, 202, 200]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_answered_401(stack: RunningSystem, mint: Mint, name: str) -> None:
    for answer in everywhere(stack, BAD[name](mint)):
        assert answer.status == 401
        assert answer.json() == {
            "success": False,
            "error": "unauthorized",
            "message": "Sign in again: the access token is missing, wrong or expired.",
        }
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_token_is_refused_from_its_expiry_on(stack: RunningSystem, mint: Mint) -> None:
    """The authorizer accepts a token for some seconds longer, for clocks that differ. The handlers do not."""
    for lifetime in (4, 16, 64):  # one second is too short for a slow machine
        expires = now(lifetime)
        token = mint.token(exp=expires)
        if next(everywhere(stack, token)).status == 200:
            break
    else:
        raise AssertionError("a token was never accepted")
    time.sleep(max(0, expires - time.time()) + 0.05)
    assert {answer.status for answer in everywhere(stack, token)} == {401}


def test_no_header_or_parameter_names_another_user(stack: RunningSystem) -> None:
    victim, attacker = stack.user(), stack.user()
    assert victim.connect().status == 202
    qr = victim.qr()
    for path, headers in naming(victim.id):
        sent = {"Authorization": f"Bearer {attacker.token}"} | headers
        for method, name in (("POST", "disconnect"), ("GET", "status"), ("GET", "qr")):
            body = {"userId": victim.id, "sub": victim.id} if method == "POST" else None
            answer = call(method, f"{stack.url}/api/whatsapp/{name}{path}", body, sent)
            assert answer.status == (404 if name == "qr" else 200)
            assert answer.json().get("status") in (None, "disconnected", "already_disconnected")
    shown = victim.status()
    assert (shown["status"], shown["qr"]) == ("waiting_qr", qr)
    victim.disconnect()


def naming(user: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Requests that name another user."""
    yield f"?userId={user}&user_id={user}&sub={user}&id=eq.{user}", {}
    names = ("X-User-Id", "X-Amzn-Oidc-Identity", "X-Supabase-User", "X-Forwarded-User", "UserId", "Sub")
    yield "", dict.fromkeys(names, user)
    yield (
        "",
        {"Cookie": f"userId={user}; sub={user}", "X-Amz-Request-Context": f'{{"authorizer":{{"userId":"{user}"}}}}'},
    )


def test_a_token_in_the_address_is_ignored(stack: RunningSystem) -> None:
    token = stack.user().token
    for name in ("access_token", "token", "authorization", "Authorization", "apikey"):
        assert call("GET", f"{stack.url}/api/whatsapp/status?{name}={token}").status == 401
        assert call("GET", f"{stack.url}/api/whatsapp/status", headers={"Cookie": f"{name}={token}"}).status == 401


def test_a_page_of_another_origin_may_not_read_an_answer(stack: RunningSystem) -> None:
    user = stack.user()
    for origin in ("https://evil.example", "null", f"{stack.url}.evil.example", stack.url.upper()):
        asked = call("OPTIONS", f"{stack.url}/api/whatsapp/status", headers={
            "Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization",
        })  # fmt: skip
        for answer in (asked, user.call("GET", "status", Origin=origin)):
            assert not [name for name in answer.headers if name.lower().startswith("access-control")]
