"""Supabase access token → user."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

import jwt

from whatsapp_pairing.errors import MisconfiguredError, Unauthorized, Unavailable

# What a published key may have signed with: a public key is never taken for a shared secret.
_ASYMMETRIC = ["ES256", "RS256"]
_SYMMETRIC = "HS256"
_SHORTEST_SECRET = 32
_LEEWAY_SECONDS = 10
_KEYS_LIVE_SECONDS = 600
# An unknown key id, or a server of keys that fails, makes us ask again, at most this often.
_ASK_AGAIN_SECONDS = 30
_TRY_AGAIN_SECONDS = 1
_LONGEST_TOKEN = 8192


@dataclass(frozen=True)
class Identity:
    """A verified user; ``expires_at`` is the token's end, in seconds since 1970."""

    user_id: UUID
    expires_at: int


class TokenVerifier:
    """Verifies access tokens of one Supabase project against its published keys.

    Parameters
    ----------
    supabase_url : str
        The project, without a trailing slash.
    legacy_secret : callable, optional
        Gives the project's legacy JWT secret. Only with it are HS256 tokens accepted; called for each of them.
    """

    def __init__(self, supabase_url: str, legacy_secret: Callable[[], str] | None = None) -> None:
        self._issuer = f"{supabase_url}/auth/v1"
        self._legacy_secret = legacy_secret

    @cached_property
    def _keys(self) -> "_PublishedKeys":
        return _PublishedKeys(f"{self._issuer}/.well-known/jwks.json")

    def verify(self, token: str) -> Identity:
        """Return who the token speaks for.

        Raises
        ------
        Unauthorized
            Malformed, forged, expired, or not an end user's token of this project.
        Unavailable
            The project's keys cannot be fetched.
        MisconfiguredError
            The legacy secret is too short to be one.
        """
        if len(token) > _LONGEST_TOKEN:
            raise Unauthorized
        try:
            if jwt.get_unverified_header(token).get("alg") == _SYMMETRIC:
                claims = self._decode(token, self._shared_secret(), [_SYMMETRIC])
            else:
                claims = self._decode(token, self._published_key(token), _ASYMMETRIC)
            if claims.get("role") != "authenticated":
                raise Unauthorized
            return Identity(UUID(claims["sub"]), int(claims["exp"]))
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            # No cause: PyJWT's messages may quote the token.
            raise Unauthorized from None

    def _decode(self, token: str, key: Any, algorithms: list[str]) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience="authenticated",
            issuer=self._issuer,
            leeway=_LEEWAY_SECONDS,
            # When it was issued decides nothing; by a clock that is behind Supabase's it is issued in the future.
            options={"require": ["exp", "iat", "sub", "aud", "iss"], "verify_iat": False},
        )

    def _shared_secret(self) -> str:
        if self._legacy_secret is None:
            raise Unauthorized
        secret = self._legacy_secret()
        if len(secret.encode()) < _SHORTEST_SECRET:
            raise MisconfiguredError("The legacy JWT secret is shorter than 32 bytes: that cannot be the project's.")
        return secret

    def _published_key(self, token: str) -> jwt.PyJWK:
        try:
            # First of all: a good token must not be told that it is bad when the keys cannot be had.
            self._keys.get_signing_keys()
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OSError) as error:
            raise Unavailable from error
        try:
            return self._keys.get_signing_key_from_jwt(token)
        except jwt.PyJWKClientConnectionError as error:
            raise Unavailable from error  # looking for a key that we have not seen yet


class _PublishedKeys(jwt.PyJWKClient):
    """The project's keys, cached; a server that fails is left alone for a moment, whoever knocks here."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri, lifespan=_KEYS_LIVE_SECONDS, cooldown_duration=_ASK_AGAIN_SECONDS, timeout=5)
        self._not_before = 0.0

    def fetch_data(self) -> Any:
        if time.monotonic() < self._not_before:
            raise jwt.PyJWKClientConnectionError("The keys could not be fetched a moment ago.")
        self._not_before = time.monotonic() + _TRY_AGAIN_SECONDS
        fetched = super().fetch_data()
        self._not_before = 0.0
        return fetched
