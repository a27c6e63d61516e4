"""Supabase access token → user."""

from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

import jwt

from whatsapp_pairing.errors import Unauthorized, Unavailable

# Asymmetric only: with these a public key is never mistaken for a shared secret.
_ALGORITHMS = ["ES256", "RS256"]
_LEEWAY_SECONDS = 10
_KEYS_LIVE_SECONDS = 600
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
    """

    def __init__(self, supabase_url: str) -> None:
        self._issuer = f"{supabase_url}/auth/v1"

    @cached_property
    def _keys(self) -> jwt.PyJWKClient:
        return jwt.PyJWKClient(f"{self._issuer}/.well-known/jwks.json", lifespan=_KEYS_LIVE_SECONDS, timeout=5)

    def verify(self, token: str) -> Identity:
        """Return who the token speaks for.

        Raises
        ------
        Unauthorized
            Malformed, forged, expired, or not an end user's token of this project.
        Unavailable
            The project's keys cannot be fetched.
        """
        if len(token) > _LONGEST_TOKEN:
            raise Unauthorized
        self._fetch_keys()
        try:
            claims = jwt.decode(
                token,
                self._keys.get_signing_key_from_jwt(token),
                algorithms=_ALGORITHMS,
                audience="authenticated",
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                # When it was issued decides nothing; by a clock that is behind Supabase's it is issued in the future.
                options={"require": ["exp", "iat", "sub", "aud", "iss"], "verify_iat": False},
            )
            if claims.get("role") != "authenticated":
                raise Unauthorized
            return Identity(UUID(claims["sub"]), int(claims["exp"]))
        except jwt.PyJWKClientConnectionError as error:
            raise Unavailable from error  # looking for a key that we have not seen yet
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            # No cause: PyJWT's messages may quote the token.
            raise Unauthorized from None

    def _fetch_keys(self) -> None:
        """Have the project's keys, from the cache as a rule; a good token must not be told that it is bad."""
        try:
            self._keys.get_signing_keys()
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OSError) as error:
            raise Unavailable from error
