"""The class of each denial, which the log names, and the users that the operator's parameters allow."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from whatsapp_pairing.core import errors
from whatsapp_pairing.core.denials import Denial
from whatsapp_pairing.core.errors import AnonymousNotAllowed, Denied, SecondFactorRequired, Unauthorized
from whatsapp_pairing.web import http
from whatsapp_pairing.web.identity import TokenVerifier

from tests.support.jwks import SECRET, Project, legacy_key, unsigned

ELSEWHERE = "https://abcdefghijklmnopqrst.supabase.co/auth/v1"


def without(project: Project, claim: str) -> str:
    return project.token(**{claim: None})


CLASSES: dict[str, tuple[Callable[[Project], str], Denial]] = {
    "nothing": (lambda _: "", Denial.MALFORMED),
    "words": (lambda _: "not a token", Denial.MALFORMED),
    "claims that are a list": (lambda _: unsigned({"alg": "ES256"}, []), Denial.MALFORMED),  # type: ignore[arg-type]
    "a number for a key id": (lambda p: unsigned({"alg": "ES256", "kid": 7}, p.claims()), Denial.MALFORMED),
    "an end that is a word": (lambda p: p.token(exp="soon"), Denial.MALFORMED),
    "no end": (lambda p: without(p, "exp"), Denial.MALFORMED),
    "too long": (lambda p: p.token(padding="x" * 8192), Denial.TOO_LONG),
    "too long and no token": (lambda _: "a" * 8193, Denial.TOO_LONG),
    "unsigned": (lambda p: unsigned({"alg": "none"}, p.claims()), Denial.ALGORITHM),
    "no algorithm": (lambda p: unsigned({}, p.claims()), Denial.ALGORITHM),
    "an algorithm that is a list": (lambda p: unsigned({"alg": []}, p.claims()), Denial.ALGORITHM),
    "a shared secret": (lambda p: jwt.encode(p.claims(), SECRET, "HS256"), Denial.ALGORITHM),
    "another elliptic algorithm": (lambda p: unsigned({"alg": "ES384", "kid": "ec"}, p.claims()), Denial.ALGORITHM),
    "a key of the other kind": (
        lambda p: jwt.encode(p.claims(), p.keys["ec"], "ES256", {"kid": "rsa"}),
        Denial.ALGORITHM,
    ),
    "an unknown key": (lambda p: jwt.encode(p.claims(), p.keys["ec"], "ES256", {"kid": "x"}), Denial.UNKNOWN_KEY),
    "no key id": (lambda p: jwt.encode(p.claims(), p.keys["ec"], "ES256"), Denial.UNKNOWN_KEY),
    "a stranger's signature": (
        lambda p: p.token(key=ec.generate_private_key(ec.SECP256R1())),
        Denial.SIGNATURE,
    ),
    "no signature": (lambda p: unsigned({"alg": "ES256", "kid": "ec"}, p.claims()), Denial.SIGNATURE),
    "expired": (lambda p: p.token(exp=int(time.time()) - 60), Denial.EXPIRED),
    "expired, and its key has gone": (
        lambda p: jwt.encode(p.claims(exp=1), p.keys["ec"], "ES256", {"kid": "gone"}),
        Denial.EXPIRED,
    ),
    "not yet valid": (lambda p: p.token(nbf=int(time.time()) + 60), Denial.NOT_YET_VALID),
    "another issuer": (lambda p: p.token(iss=ELSEWHERE), Denial.ISSUER),
    "another issuer and key": (
        lambda p: jwt.encode(p.claims(iss=ELSEWHERE), p.keys["ec"], "ES256", {"kid": "theirs"}),
        Denial.ISSUER,
    ),
    "no issuer": (lambda p: without(p, "iss"), Denial.ISSUER),
    "another audience": (lambda p: p.token(aud="admin"), Denial.AUDIENCE),
    "an audience that is a number": (lambda p: p.token(aud=7), Denial.AUDIENCE),
    "no audience": (lambda p: without(p, "aud"), Denial.AUDIENCE),
    "the project's anon key": (lambda _: legacy_key("anon"), Denial.ROLE),
    "the project's service key": (lambda _: legacy_key("service_role"), Denial.ROLE),
    "no role": (lambda p: without(p, "role"), Denial.ROLE),
    "a role that is a list": (lambda p: p.token(role=["authenticated"]), Denial.ROLE),
    "no subject": (lambda p: without(p, "sub"), Denial.SUBJECT),
    "a subject that is a word": (lambda p: p.token(sub="root"), Denial.SUBJECT),
    "anonymous": (lambda p: p.token(is_anonymous=True), Denial.ANONYMOUS),
}


@pytest.mark.parametrize(("make", "denial"), CLASSES.values(), ids=CLASSES)
def test_a_refusal_has_a_class(
    project: Project, verifier: TokenVerifier, make: Callable[[Project], str], denial: Denial
) -> None:
    with pytest.raises(Unauthorized) as denied:
        verifier.verify(make(project))
    assert denied.value.denial is denial


# ── the operator's parameters ──


def test_other_issuers_are_accepted_by_name_only(project: Project) -> None:
    """After a project gets a custom domain, its tokens still name its first address as the issuer."""
    verifier = TokenVerifier(project.url, issuers=[ELSEWHERE])
    for issuer in (ELSEWHERE, project.issuer):
        assert verifier.verify(project.token(iss=issuer)).user_id == project.user
    for issuer in (f"{ELSEWHERE}/", ELSEWHERE.upper(), ELSEWHERE[:-1], "https://other.supabase.co/auth/v1", ""):
        with pytest.raises(Unauthorized) as denied:
            verifier.verify(project.token(iss=issuer))
        assert denied.value.denial is Denial.ISSUER


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
    assert all(Denial.parse(str(denial)) is denial for denial in Denial)
    for other in (None, "", "x", "EXPIRED", 7, [], {}, "expired\nforged"):
        assert Denial.parse(other) is Denial.NO_TOKEN


# ── answers ──


def answered(found: dict[str, str]) -> dict[str, object]:
    """A request with this answer of the authorizer."""
    return {"requestContext": {"authorizer": {"lambda": found}}}


@pytest.mark.parametrize("denial", Denial)
def test_a_refused_caller_keeps_the_authorizers_class(denial: Denial) -> None:
    with pytest.raises(Denied) as denied:
        http.caller(answered({"refused": str(denial)}))
    assert denied.value.denial is denial
    assert isinstance(denied.value, AnonymousNotAllowed) is (denial is Denial.ANONYMOUS)
    assert isinstance(denied.value, SecondFactorRequired) is (denial is Denial.SECOND_FACTOR)


@pytest.mark.parametrize(
    "found", [{"userId": str(uuid4())}, {"refused": "second_factor"}], ids=["user", "second factor"]
)
def test_a_token_that_has_ended_since_is_expired(found: dict[str, str]) -> None:
    with pytest.raises(Unauthorized) as denied:
        http.caller(answered(found | {"expiresAt": str(int(time.time()) - 1)}))
    assert denied.value.denial is Denial.EXPIRED


def test_a_token_below_the_demanded_level_is_a_403() -> None:
    with pytest.raises(SecondFactorRequired) as denied:
        http.caller(answered({"refused": "second_factor", "expiresAt": str(int(time.time()) + 60)}))
    answer = http.failure(denied.value)
    assert answer["statusCode"] == 403
    assert answer["headers"]["WWW-Authenticate"] == 'Bearer error="insufficient_user_authentication"'


@pytest.mark.parametrize("denial", set(Denial) - {Denial.SECOND_FACTOR})
def test_a_401_names_its_scheme_and_whether_a_token_was_sent(denial: Denial) -> None:
    headers = http.failure(Unauthorized(denial))["headers"]
    sent = denial is not Denial.NO_TOKEN
    assert headers["WWW-Authenticate"] == ('Bearer error="invalid_token"' if sent else "Bearer")
    assert "WWW-Authenticate" not in http.failure(errors.NoQr())["headers"]
