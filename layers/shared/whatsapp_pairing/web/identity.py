"""Verifies a Supabase access token, and returns its user."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

import jwt
from jwt.types import Options

from whatsapp_pairing.core.assurance import AssuranceLevel
from whatsapp_pairing.core.denials import Denial
from whatsapp_pairing.core.errors import AnonymousNotAllowed, MisconfiguredError, Unauthorized
from whatsapp_pairing.web.published_keys import ASYMMETRIC, PublishedKeys

_SYMMETRIC = "HS256"
_SHORTEST_SECRET = 32
_LEEWAY_SECONDS = 10
_LONGEST_TOKEN = 8192
# `iat` is required but not compared with the clock, because our clock may be behind Supabase's.
_OPTIONS: Options = {"require": ["exp", "iat", "sub", "aud", "iss"], "verify_iat": False}
# When PyJWT does not verify the signature, it checks a claim only if an option says so.
_CLAIMS_ONLY: Options = {
    **_OPTIONS,
    "verify_signature": False,
    "verify_exp": True,
    "verify_nbf": True,
    "verify_aud": True,
    "verify_iss": True,
}

_DENIALS = [
    (jwt.InvalidSignatureError, Denial.SIGNATURE),
    (jwt.ExpiredSignatureError, Denial.EXPIRED),
    (jwt.ImmatureSignatureError, Denial.NOT_YET_VALID),
    (jwt.InvalidIssuerError, Denial.ISSUER),
    (jwt.InvalidAudienceError, Denial.AUDIENCE),
    (jwt.exceptions.InvalidSubjectError, Denial.SUBJECT),
    (jwt.InvalidAlgorithmError, Denial.ALGORITHM),
    (jwt.InvalidKeyError, Denial.ALGORITHM),
]
_MISSING = {"iss": Denial.ISSUER, "aud": Denial.AUDIENCE, "sub": Denial.SUBJECT}


@dataclass(frozen=True)
class Identity:
    """A verified user.

    ``expires_at`` is the token's end in seconds since 1970; ``level`` is how strong the sign-in is.
    """

    user_id: UUID
    expires_at: int
    level: AssuranceLevel


class TokenVerifier:
    """Verifies access tokens of one Supabase project against its published keys.

    Parameters
    ----------
    supabase_url : str
        The project, without a trailing slash.
    legacy_secret : callable, optional
        Returns the project's legacy JWT secret. It is called for each HS256 token. Without it, these tokens are denied.
    issuers : collection of str
        Issuers that the project's tokens may name beside ``<supabase_url>/auth/v1``.
    allow_anonymous : bool
        Whether users without an account (Supabase's anonymous sign-in) may pair.
    """

    def __init__(
        self,
        supabase_url: str,
        legacy_secret: Callable[[], str] | None = None,
        issuers: Collection[str] = (),
        allow_anonymous: bool = False,
    ) -> None:
        self._auth_url = f"{supabase_url}/auth/v1"
        self._issuers = frozenset([self._auth_url, *issuers])
        self._legacy_secret = legacy_secret
        self._allow_anonymous = allow_anonymous

    @cached_property
    def _keys(self) -> PublishedKeys:
        # A project that signs with its legacy secret may be too old to publish keys.
        return PublishedKeys(f"{self._auth_url}/.well-known/jwks.json", optional=self._legacy_secret is not None)

    def verify(self, token: str) -> Identity:
        """Return the user of the token.

        Raises
        ------
        Unauthorized
            The token is malformed, forged or expired, or is not an end user's token of this project.
        Unavailable
            The project's keys cannot be fetched.
        MisconfiguredError
            The legacy secret is shorter than Supabase makes them.
        """
        if len(token) > _LONGEST_TOKEN:
            raise Unauthorized(Denial.TOO_LONG)
        try:
            header = self._refuse_by_claims(token)
            key, algorithms = self._key(header)
            return self._identity(self._claims(token, key, algorithms))
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            # `from None`, because PyJWT's messages may quote the token.
            raise Unauthorized(_denial(error)) from None

    def _refuse_by_claims(self, token: str) -> dict[str, Any]:
        """Deny a token with a wrong claim, before its signature is checked. Return the token's header.

        For such a token, the keys are not fetched, and the log names the claim.
        """
        unverified = jwt.decode_complete(token, options={"verify_signature": False})
        _require_a_users_role(unverified["payload"])  # first, because a project's own keys lack most other claims
        self._identity(self._claims(token, None, [], _CLAIMS_ONLY))
        header: dict[str, Any] = unverified["header"]
        return header

    def _claims(self, token: str, key: Any, algorithms: list[str], options: Options = _OPTIONS) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience="authenticated",
            issuer=self._issuers,
            leeway=_LEEWAY_SECONDS,
            options=options,
        )

    def _identity(self, claims: dict[str, Any]) -> Identity:
        _require_a_users_role(claims)
        # Supabase writes true or false. Any other value counts as anonymous.
        anonymous = claims.get("is_anonymous")
        if not (self._allow_anonymous or anonymous is None or anonymous is False):
            raise AnonymousNotAllowed
        try:
            user_id = UUID(claims["sub"])
        except ValueError:
            raise Unauthorized(Denial.SUBJECT) from None
        return Identity(user_id, int(claims["exp"]), AssuranceLevel.parse(claims.get("aal")))

    def _key(self, header: dict[str, Any]) -> tuple[Any, list[str]]:
        """Return the key that the header names, and the algorithms that are accepted with this key."""
        if header.get("alg") == _SYMMETRIC:
            return self._shared_secret(), [_SYMMETRIC]
        if header.get("alg") not in ASYMMETRIC:
            raise Unauthorized(Denial.ALGORITHM)
        key = self._keys.find(header.get("kid", ""))
        if key is None:
            raise Unauthorized(Denial.UNKNOWN_KEY)
        return key, ASYMMETRIC

    def _shared_secret(self) -> str:
        if self._legacy_secret is None:
            raise Unauthorized(Denial.ALGORITHM)
        secret = self._legacy_secret()
        if len(secret.encode()) < _SHORTEST_SECRET:
            raise MisconfiguredError("The legacy JWT secret is shorter than 32 bytes: that cannot be the project's.")
        return secret


def _require_a_users_role(claims: dict[str, Any]) -> None:
    if claims.get("role") != "authenticated":
        raise Unauthorized(Denial.ROLE)


def _denial(error: Exception) -> Denial:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return _MISSING.get(error.claim, Denial.MALFORMED)
    return next((denial for kind, denial in _DENIALS if isinstance(error, kind)), Denial.MALFORMED)
