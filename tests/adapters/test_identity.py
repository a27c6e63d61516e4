"""Which tokens are accepted, with a real server of keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whatsapp_pairing.core.assurance import AssuranceLevel
from whatsapp_pairing.core.denials import Denial
from whatsapp_pairing.core.errors import MisconfiguredError, Unauthorized
from whatsapp_pairing.web.identity import Identity, TokenVerifier

from tests.support.jwks import SECRET, Project, legacy_key, unsigned


@pytest.mark.parametrize("kid", ["ec", "rsa"])
def test_a_users_token_names_the_user(project: Project, verifier: TokenVerifier, kid: str) -> None:
    expires = int(time.time()) + 60
    token = project.token(kid, exp=expires, aal="aal2")
    assert verifier.verify(token) == Identity(project.user, expires, AssuranceLevel.AAL2)


def test_a_token_may_be_a_few_seconds_early_or_late(project: Project, verifier: TokenVerifier) -> None:
    now = int(time.time())
    assert verifier.verify(project.token(exp=now - 5)).user_id == project.user
    assert verifier.verify(project.token(nbf=now + 5, iat=now + 5)).user_id == project.user


def test_a_token_is_valid_when_our_clock_is_far_behind(project: Project, verifier: TokenVerifier) -> None:
    """By our clock, the token is issued in five minutes. Supabase sets no ``nbf``."""
    assert verifier.verify(project.token(iat=int(time.time()) + 300)).user_id == project.user


STRANGE: dict[str, dict[str, object]] = {
    "expired": {"exp": 1_700_000_000},
    "expired a moment ago": {"exp": int(time.time()) - 60},
    "never expires": {"exp": None},
    "expiry is no number": {"exp": "tomorrow"},
    "not yet valid": {"nbf": 4_000_000_000},
    "never issued": {"iat": None},
    "other issuer": {"iss": "https://other.supabase.co/auth/v1"},
    "no issuer": {"iss": None},
    "other audience": {"aud": "admin"},
    "no audience": {"aud": None},
    "anon key": {"role": "anon", "aud": "authenticated"},
    "service key": {"role": "service_role"},
    "no role": {"role": None},
    "two roles": {"role": ["authenticated"]},
    "nobody": {"sub": None},
    "no UUID": {"sub": "root"},
    "a number": {"sub": 7},
    "empty": {"sub": ""},
}


@pytest.mark.parametrize("changed", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("kid", ["ec", "rsa"])
def test_a_token_with_other_claims_is_refused(
    project: Project, verifier: TokenVerifier, kid: str, changed: dict[str, object]
) -> None:
    if isinstance(changed.get("iss", ""), str) and isinstance(changed.get("sub", ""), str):
        token = project.token(kid, **changed)
    else:
        claims = project.claims(**changed)
        algorithm = jwt.get_algorithm_by_name("ES256" if kid == "ec" else "RS256")
        head = unsigned({"alg": "ES256" if kid == "ec" else "RS256", "kid": kid}, claims).rpartition(".")[0]
        signature = algorithm.sign(head.encode(), project.keys[kid])
        token = f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    with pytest.raises(Unauthorized):
        verifier.verify(token)


def tampered(token: str) -> str:
    head, claims, signature = token.split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(decoded | {"sub": str(uuid4())}).encode()).rstrip(b"=").decode()
    return f"{head}.{forged}.{signature}"


@pytest.mark.parametrize("kid", ["ec", "rsa"])
def test_a_forged_signature_is_refused(project: Project, verifier: TokenVerifier, kid: str) -> None:
    stranger = rsa.generate_private_key(65537, 2048) if kid == "rsa" else ec.generate_private_key(ec.SECP256R1())
    token = project.token(kid)
    head, claims, signature = token.split(".")
    for forged in (
        project.token(kid, key=stranger),
        tampered(token),
        f"{head}.{claims}.",
        f"{head}.{claims}.{signature[::-1]}",
        f"{head}.{claims}.{base64.urlsafe_b64encode(bytes(64)).decode()}",
    ):
        with pytest.raises(Unauthorized):
            verifier.verify(forged)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("kid", ["ec", "rsa"])
def test_an_unsigned_token_is_refused(project: Project, verifier: TokenVerifier, algorithm: str, kid: str) -> None:
    with pytest.raises(Unauthorized):
        verifier.verify(unsigned({"alg": algorithm, "kid": kid, "typ": "JWT"}, project.claims()))


@pytest.mark.parametrize("kid", ["ec", "rsa"])
def test_a_public_key_is_not_used_as_a_shared_secret(project: Project, verifier: TokenVerifier, kid: str) -> None:
    public = project.keys[kid].public_key()
    secrets = [
        public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER)
    ]
    for secret in (*secrets, project.jwks(), b"", b"secret"):
        head = unsigned({"alg": "HS256", "kid": kid, "typ": "JWT"}, project.claims()).rpartition(".")[0]
        signature = base64.urlsafe_b64encode(hmac.digest(secret, head.encode(), hashlib.sha256)).rstrip(b"=")
        with pytest.raises(Unauthorized):
            verifier.verify(f"{head}.{signature.decode()}")


def test_a_key_that_the_token_brings_along_is_not_used(project: Project, verifier: TokenVerifier) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    own = jwt.algorithms.ECAlgorithm.to_jwk(stranger.public_key(), as_dict=True)
    for header in ({"jwk": own}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/cert"}):
        token = jwt.encode(project.claims(), stranger, "ES256", {"kid": "ec", **header})
        with pytest.raises(Unauthorized):
            verifier.verify(token)


def test_a_token_signed_by_another_kind_of_key_is_refused(project: Project, verifier: TokenVerifier) -> None:
    token = jwt.encode(project.claims(), project.keys["ec"], "ES256", {"kid": "rsa"})
    with pytest.raises(Unauthorized):
        verifier.verify(token)


def test_another_projects_token_is_refused(project: Project, verifier: TokenVerifier) -> None:
    other = Project()
    other.url = project.url
    with pytest.raises(Unauthorized):
        verifier.verify(other.token())


def test_a_token_without_a_key_id_is_refused(project: Project, verifier: TokenVerifier) -> None:
    with pytest.raises(Unauthorized):
        verifier.verify(jwt.encode(project.claims(), project.keys["ec"], "ES256"))


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


GARBAGE = {
    "nothing": "",
    "dots": "..",
    "words": "not a token",
    "one part": "eyJhbGciOiJFUzI1NiJ9",
    "four parts": "a.b.c.d",
    "no JSON": f"{encoded('{')}.e30.c2ln",
    "a list": f"{encoded('[]')}.e30.c2ln",
    "a number": f"{encoded('7')}.{encoded('7')}.c2ln",
    "kid is a number": f"{encoded(json.dumps({'alg': 'ES256', 'kid': 7}))}.e30.c2ln",
    "kid is a list": f"{encoded(json.dumps({'alg': 'ES256', 'kid': []}))}.e30.c2ln",
    "alg is a list": f"{encoded(json.dumps({'alg': [], 'kid': 'ec'}))}.e30.c2ln",
    "not ASCII": "é.é.é",
    "a null": "\0.\0.\0",
    "oversized": "a" * 8193,
    "oversized and well-formed": f"{encoded('{}')}.{'a' * 9000}.c2ln",
    "nested header": f"{encoded('[' * 5000)}.e30.c2ln",
    "nested claims": f"{encoded(json.dumps({'alg': 'ES256', 'kid': 'ec'}))}.{encoded('[' * 5000)}.c2ln",
}


@pytest.mark.parametrize("token", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_refused(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(Unauthorized):
        verifier.verify(token)


def test_an_oversized_token_is_refused_without_fetching_keys(project: Project, verifier: TokenVerifier) -> None:
    with pytest.raises(Unauthorized):
        verifier.verify(project.token(padding="x" * 8192))
    assert project.asked == 0


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}\.[A-Za-z0-9_-]{0,60}", fullmatch=True))
def test_any_text_is_refused(verifier: TokenVerifier, token: str) -> None:
    with pytest.raises(Unauthorized):
        verifier.verify(token)


def test_a_refusal_does_not_quote_the_token(project: Project, verifier: TokenVerifier) -> None:
    with pytest.raises(Unauthorized) as refused:
        verifier.verify(project.token(aud="top-secret-audience"))
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert "top-secret" not in str(refused.value)


# ── the legacy shared secret, by parameter ──


@pytest.fixture
def legacy(project: Project) -> TokenVerifier:
    """A verifier of a project that still signs with its legacy secret."""
    return TokenVerifier(project.url, lambda: SECRET)


def shared(project: Project, secret: str = SECRET, **changed: object) -> str:
    """A token signed with a shared secret, as Supabase did before it had key pairs."""
    return jwt.encode(project.claims(**changed), secret, "HS256")


def test_a_legacy_token_names_the_user_where_the_secret_is_given(project: Project, legacy: TokenVerifier) -> None:
    project.instead = (200, b'{"keys": []}')  # a project with a legacy secret publishes no key
    assert legacy.verify(shared(project)).user_id == project.user
    assert project.asked == 0


def test_a_legacy_project_may_move_to_key_pairs(project: Project, legacy: TokenVerifier) -> None:
    assert legacy.verify(project.token()).user_id == project.user


def test_a_legacy_token_is_refused_where_no_secret_is_given(project: Project, verifier: TokenVerifier) -> None:
    with pytest.raises(Unauthorized):
        verifier.verify(shared(project))


@pytest.mark.parametrize(
    "changed",
    [it for it in STRANGE.values() if isinstance(it.get("sub", ""), str) and isinstance(it.get("iss", ""), str)],
    ids=str,
)
def test_a_legacy_token_with_other_claims_is_refused(
    project: Project, legacy: TokenVerifier, changed: dict[str, object]
) -> None:
    with pytest.raises(Unauthorized):
        legacy.verify(shared(project, **changed))


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_a_project_s_own_api_keys_are_refused(project: Project, legacy: TokenVerifier, role: str) -> None:
    """Supabase signs the legacy anon and service keys with the same secret as the users' tokens."""
    with pytest.raises(Unauthorized) as refused:
        legacy.verify(legacy_key(role))
    assert refused.value.denial is Denial.ROLE


def test_a_token_of_another_secret_is_refused(project: Project, legacy: TokenVerifier) -> None:
    for secret in (SECRET + "x", SECRET.upper(), "x" * 32):
        with pytest.raises(Unauthorized):
            legacy.verify(shared(project, secret))


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "none"])
def test_the_secret_verifies_one_algorithm_only(project: Project, legacy: TokenVerifier, algorithm: str) -> None:
    long = SECRET * 2
    token = jwt.encode(project.claims(), None if algorithm == "none" else long, algorithm, {"kid": "ec"})
    with pytest.raises(Unauthorized):
        TokenVerifier(project.url, lambda: long).verify(token)


def test_a_legacy_project_accepts_no_public_key_as_secret(project: Project, legacy: TokenVerifier) -> None:
    for kid, key in project.keys.items():
        pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        head = unsigned({"alg": "HS256", "kid": kid, "typ": "JWT"}, project.claims()).rpartition(".")[0]
        signature = base64.urlsafe_b64encode(hmac.digest(pem, head.encode(), hashlib.sha256)).rstrip(b"=")
        with pytest.raises(Unauthorized):
            legacy.verify(f"{head}.{signature.decode()}")


@pytest.mark.parametrize("secret", ["", "hunter2", "x" * 31])
def test_a_secret_that_can_be_guessed_is_a_misconfiguration(project: Project, secret: str) -> None:
    token = shared(project)
    with pytest.raises(MisconfiguredError, match="32 bytes") as wrong:
        TokenVerifier(project.url, lambda: secret).verify(token)
    assert not secret or secret not in str(wrong.value)
