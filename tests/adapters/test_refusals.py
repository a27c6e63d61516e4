"""Why a token is refused: the class that the log is told, and whom the operator's parameters let in."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from whatsapp_pairing.core import errors
from whatsapp_pairing.core.errors import AnonymousNotAllowed, Refused, SecondFactorRequired, Unauthorized
from whatsapp_pairing.core.refusals import Refusal
from whatsapp_pairing.web import http
from whatsapp_pairing.web.identity import TokenVerifier

from tests.support.jwks import SECRET, Project, legacy_key, unsigned

ELSEWHERE = "https://abcdefghijklmnopqrst.supabase.co/auth/v1"


def without(project: Project, claim: str) -> str:
    return project.token(**{claim: None})


CLASSES: dict[str, tuple[Callable[[Project], str], Refusal]] = {
    "nothing": (lambda _: "", Refusal.MALFORMED),
    "words": (lambda _: "not a token", Refusal.MALFORMED),
    "claims that are a list": (lambda _: unsigned({"alg": "ES256"}, []), Refusal.MALFORMED),  # type: ignore[arg-type]
    "a number for a key id": (lambda p: unsigned({"alg": "ES256", "kid": 7}, p.claims()), Refusal.MALFORMED),
    "an end that is a word": (lambda p: p.token(exp="soon"), Refusal.MALFORMED),
    "no end": (lambda p: without(p, "exp"), Refusal.MALFORMED),
    "too long": (lambda p: p.token(padding="x" * 8192), Refusal.TOO_LONG),
    "too long and no token": (lambda _: "a" * 8193, Refusal.TOO_LONG),
    "unsigned": (lambda p: unsigned({"alg": "none"}, p.claims()), Refusal.ALGORITHM),
    "no algorithm": (lambda p: unsigned({}, p.claims()), Refusal.ALGORITHM),
    "an algorithm that is a list": (lambda p: unsigned({"alg": []}, p.claims()), Refusal.ALGORITHM),
    "a shared secret": (lambda p: jwt.encode(p.claims(), SECRET, "HS256"), Refusal.ALGORITHM),
    "another elliptic algorithm": (lambda p: unsigned({"alg": "ES384", "kid": "ec"}, p.claims()), Refusal.ALGORITHM),
    "a key of the other kind": (
        lambda p: jwt.encode(p.claims(), p.keys["ec"], "ES256", {"kid": "rsa"}),
        Refusal.ALGORITHM,
    ),
    "an unknown key": (lambda p: jwt.encode(p.claims(), p.keys["ec"], "ES256", {"kid": "x"}), Refusal.UNKNOWN_KEY),
    "no key id": (lambda p: jwt.encode(p.claims(), p.keys["ec"], "ES256"), Refusal.UNKNOWN_KEY),
    "a stranger's signature": (
        lambda p: p.token(key=ec.generate_private_key(ec.SECP256R1())),
        Refusal.SIGNATURE,
    ),
    "no signature": (lambda p: unsigned({"alg": "ES256", "kid": "ec"}, p.claims()), Refusal.SIGNATURE),
    "expired": (lambda p: p.token(exp=int(time.time()) - 60), Refusal.EXPIRED),
    "expired, and its key has gone": (
        lambda p: jwt.encode(p.claims(exp=1), p.keys["ec"], "ES256", {"kid": "gone"}),
        Refusal.EXPIRED,
    ),
    "not yet valid": (lambda p: p.token(nbf=int(time.time()) + 60), Refusal.NOT_YET_VALID),
    "another issuer": (lambda p: p.token(iss=ELSEWHERE), Refusal.ISSUER),
    "another issuer and key": (
        lambda p: jwt.encode(p.claims(iss=ELSEWHERE), p.keys["ec"], "ES256", {"kid": "theirs"}),
        Refusal.ISSUER,
    ),
    "no issuer": (lambda p: without(p, "iss"), Refusal.ISSUER),
    "another audience": (lambda p: p.token(aud="admin"), Refusal.AUDIENCE),
    "an audience that is a number": (lambda p: p.token(aud=7), Refusal.AUDIENCE),
    "no audience": (lambda p: without(p, "aud"), Refusal.AUDIENCE),
    "the project's anon key": (lambda _: legacy_key("anon"), Refusal.ROLE),
    "the project's service key": (lambda _: legacy_key("service_role"), Refusal.ROLE),
    "no role": (lambda p: without(p, "role"), Refusal.ROLE),
    "a role that is a list": (lambda p: p.token(role=["authenticated"]), Refusal.ROLE),
    "no subject": (lambda p: without(p, "sub"), Refusal.SUBJECT),
    "a subject that is a word": (lambda p: p.token(sub="root"), Refusal.SUBJECT),
    "anonymous": (lambda p: p.token(is_anonymous=True), Refusal.ANONYMOUS),
}


@pytest.mark.parametrize(("make", "refusal"), CLASSES.values(), ids=CLASSES)
def test_a_refusal_has_a_class(
    project: Project, verifier: TokenVerifier, make: Callable[[Project], str], refusal: Refusal
) -> None:
    with pytest.raises(Unauthorized) as refused:
        verifier.verify(make(project))
    assert refused.value.refusal is refusal


# ── whom else the operator serves ──


def test_other_issuers_are_accepted_by_name_only(project: Project) -> None:
    """Behind a custom domain a project's tokens go on to name its first address."""
    verifier = TokenVerifier(project.url, issuers=[ELSEWHERE])
    for issuer in (ELSEWHERE, project.issuer):
        assert verifier.verify(project.token(iss=issuer)).user_id == project.user
    for issuer in (f"{ELSEWHERE}/", ELSEWHERE.upper(), ELSEWHERE[:-1], "https://other.supabase.co/auth/v1", ""):
        with pytest.raises(Unauthorized) as refused:
            verifier.verify(project.token(iss=issuer))
        assert refused.value.refusal is Refusal.ISSUER


@pytest.mark.parametrize("value", [True, 1, 0, "true", "false", "", [], {}, [False], 0.0], ids=repr)
def test_an_anonymous_user_is_refused_unless_allowed(project: Project, verifier: TokenVerifier, value: object) -> None:
    token = project.token(is_anonymous=value)
    with pytest.raises(AnonymousNotAllowed):
        verifier.verify(token)
    assert TokenVerifier(project.url, allow_anonymous=True).verify(token).user_id == project.user


@pytest.mark.parametrize("claims", [{}, {"is_anonymous": False}], ids=str)
def test_a_user_with_an_account_is_no_anonymous_one(
    project: Project, verifier: TokenVerifier, claims: dict[str, object]
) -> None:
    assert verifier.verify(project.token(**claims)).user_id == project.user


def test_any_text_but_a_known_class_means_no_token() -> None:
    assert all(Refusal.parse(str(refusal)) is refusal for refusal in Refusal)
    for other in (None, "", "x", "EXPIRED", 7, [], {}, "expired\nforged"):
        assert Refusal.parse(other) is Refusal.NO_TOKEN


# ── what the caller is told ──


def answered(found: dict[str, str]) -> dict[str, object]:
    """A request of which the authorizer said this."""
    return {"requestContext": {"authorizer": {"lambda": found}}}


@pytest.mark.parametrize("refusal", Refusal)
def test_a_refused_caller_keeps_the_authorizers_class(refusal: Refusal) -> None:
    with pytest.raises(Refused) as refused:
        http.caller(answered({"refused": str(refusal)}))
    assert refused.value.refusal is refusal
    assert isinstance(refused.value, AnonymousNotAllowed) is (refusal is Refusal.ANONYMOUS)
    assert isinstance(refused.value, SecondFactorRequired) is (refusal is Refusal.SECOND_FACTOR)


@pytest.mark.parametrize(
    "found", [{"userId": str(uuid4())}, {"refused": "second_factor"}], ids=["user", "second factor"]
)
def test_a_token_that_has_ended_since_is_expired(found: dict[str, str]) -> None:
    with pytest.raises(Unauthorized) as refused:
        http.caller(answered(found | {"expiresAt": str(int(time.time()) - 1)}))
    assert refused.value.refusal is Refusal.EXPIRED


def test_a_token_below_the_demanded_level_is_a_403() -> None:
    with pytest.raises(SecondFactorRequired) as refused:
        http.caller(answered({"refused": "second_factor", "expiresAt": str(int(time.time()) + 60)}))
    answer = http.failure(refused.value)
    assert answer["statusCode"] == 403
    assert answer["headers"]["WWW-Authenticate"] == 'Bearer error="insufficient_user_authentication"'


@pytest.mark.parametrize("refusal", set(Refusal) - {Refusal.SECOND_FACTOR})
def test_a_401_names_its_scheme_and_whether_a_token_was_sent(refusal: Refusal) -> None:
    headers = http.failure(Unauthorized(refusal))["headers"]
    sent = refusal is not Refusal.NO_TOKEN
    assert headers["WWW-Authenticate"] == ('Bearer error="invalid_token"' if sent else "Bearer")
    assert "WWW-Authenticate" not in http.failure(errors.NoQr())["headers"]
