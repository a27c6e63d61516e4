"""The published keys of a project: fetching, caching, fetching again, and malformed keys, with a real server."""

from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from whatsapp_pairing.core.denials import Denial
from whatsapp_pairing.core.errors import Unauthorized
from whatsapp_pairing.web.identity import TokenVerifier

from tests.adapters.conftest import Clock
from tests.support.jwks import Project, unknown


def refused(verifier: TokenVerifier, token: str) -> Denial:
    """The class of this token's denial."""
    with pytest.raises(Unauthorized) as error:
        verifier.verify(token)
    return error.value.denial


# ── the cache ──


def test_keys_are_fetched_once(project: Project, verifier: TokenVerifier) -> None:
    for _ in range(5):
        verifier.verify(project.token())
        verifier.verify(project.token("rsa"))
    assert project.asked == 1


def test_a_request_for_keys_names_our_client(project: Project, verifier: TokenVerifier) -> None:
    verifier.verify(project.token())
    assert project.headers is not None
    assert project.headers["User-Agent"] == "whatsapp-pairing"


def test_a_new_key_is_found_by_its_first_token(
    project: Project, verifier: TokenVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier.verify(project.token())
    clock.now += 60
    monkeypatch.setitem(project.keys, "rotated", ec.generate_private_key(ec.SECP256R1()))
    assert verifier.verify(project.token("rotated")).user_id == project.user
    assert project.asked == 2


def test_a_new_key_is_found_in_seconds_among_unknown_ones(
    project: Project, verifier: TokenVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(verifier, unknown(project))
    monkeypatch.setitem(project.keys, "rotated", ec.generate_private_key(ec.SECP256R1()))
    assert refused(verifier, project.token("rotated")) is Denial.UNKNOWN_KEY
    for number in range(5):
        clock.now += 1
        refused(verifier, unknown(project, number))
    assert verifier.verify(project.token("rotated")).user_id == project.user
    assert project.asked == 2


def test_unknown_keys_cause_one_fetch_and_no_more(project: Project, verifier: TokenVerifier, clock: Clock) -> None:
    for number in range(100):
        clock.now += 0.1
        assert refused(verifier, unknown(project, number)) is Denial.UNKNOWN_KEY
    assert project.asked <= 3


@pytest.mark.parametrize(
    "changed", [{"exp": 1}, {"iss": "https://other.example"}, {"aud": "x"}, {"role": "anon"}], ids=str
)
def test_a_token_with_wrong_claims_fetches_no_keys(
    project: Project, verifier: TokenVerifier, changed: dict[str, object]
) -> None:
    refused(verifier, project.token(**changed))
    assert project.asked == 0


def test_keys_are_forgotten_after_ten_minutes(
    project: Project, verifier: TokenVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = project.token("rsa")
    verifier.verify(token)
    monkeypatch.delitem(project.keys, "rsa")  # revoked
    clock.now += 599
    verifier.verify(token)
    assert project.asked == 1
    clock.now += 1
    assert refused(verifier, token) is Denial.UNKNOWN_KEY
    assert project.asked == 2


# ── unusual keys ──


@pytest.mark.parametrize("body", [b'{"keys": []}', b'{"keys": null}', b'{"keys": [], "more": 1}'], ids=repr)
def test_a_project_without_keys_refuses_a_token(project: Project, verifier: TokenVerifier, body: bytes) -> None:
    """A project with a legacy secret publishes no keys. A forged token must then not look like an outage."""
    project.instead = (200, body)
    assert refused(verifier, project.token()) is Denial.UNKNOWN_KEY


def odd_keys() -> dict[str, object]:
    private = ec.generate_private_key(ec.SECP256R1())
    good = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return {
        "an unknown type": {"kty": "LATTICE", "kid": "odd"},
        "no type": {"kid": "odd"},
        "a type that is a list": {"kty": ["EC"], "kid": "odd"},
        "a curve that is none": good | {"crv": "P-1", "kid": "odd"},
        "a curve of another algorithm": {"kty": "OKP", "crv": "Ed25519", "x": "a" * 43, "kid": "odd"},
        "a point that is none": good | {"x": "!", "kid": "odd"},
        "an algorithm that is none": good | {"alg": "XY256", "kid": "odd"},
        "an algorithm that is a number": good | {"alg": 7, "kid": "odd"},
        "a shared secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "odd"},
        "a key for encryption": good | {"use": "enc", "kid": "odd"},
        "no id": good,
        "an id that is a number": good | {"kid": 7},
        "no object": "key",
        "null": None,
        "a number": 7,
        "a list": [],
    }


@pytest.mark.parametrize("odd", odd_keys().values(), ids=odd_keys())
def test_a_malformed_key_leaves_the_others_usable(project: Project, verifier: TokenVerifier, odd: object) -> None:
    keys = json.loads(project.jwks())["keys"]
    project.instead = (200, json.dumps({"keys": [odd, *keys, odd]}).encode())
    assert verifier.verify(project.token()).user_id == project.user
    named_odd = jwt.encode(project.claims(), project.keys["ec"], "ES256", {"kid": "odd"})
    assert refused(verifier, named_odd) is Denial.UNKNOWN_KEY


def test_a_published_shared_secret_is_not_accepted(project: Project, verifier: TokenVerifier) -> None:
    """Everybody can read a published key, so everybody could sign HS256 tokens with it."""
    secret = {"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "oct", "alg": "HS256", "use": "sig"}
    project.instead = (200, json.dumps({"keys": [secret]}).encode())
    token = jwt.encode(project.claims(), jwt.PyJWK(secret).key, "HS256", {"kid": "oct"})
    assert refused(verifier, token) is Denial.ALGORITHM


def test_a_key_that_names_no_algorithm_is_used(project: Project, verifier: TokenVerifier) -> None:
    rsa_key = project.keys["rsa"]
    assert isinstance(rsa_key, rsa.RSAPrivateKey)
    project.instead = (
        200,
        json.dumps({"keys": [RSAAlgorithm.to_jwk(rsa_key.public_key(), as_dict=True) | {"kid": "rsa"}]}).encode(),
    )
    assert verifier.verify(project.token("rsa")).user_id == project.user


# ── a project that signs with its legacy secret ──


@pytest.mark.parametrize("status", [404, 410])
def test_a_legacy_project_may_publish_no_address_at_all(project: Project, status: int) -> None:
    project.instead = (status, b"not found")
    legacy = TokenVerifier(project.url, lambda: "a shared secret of more than thirty-two bytes")
    assert refused(legacy, project.token()) is Denial.UNKNOWN_KEY
