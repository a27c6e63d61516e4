"""Why a caller is refused. The log gets one of these words and nothing that the caller sent."""

from enum import StrEnum


class Denial(StrEnum):
    """The class of a 401 or 403."""

    NO_TOKEN = "no_token"
    """No ``Authorization: Bearer`` header, or nothing in it."""

    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    """The token is signed in a way that we do not accept, e.g. HS256 without ``LegacyJwtSecretName``."""

    UNKNOWN_KEY = "unknown_key"
    """The project publishes no key of this id (now)."""

    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    ROLE = "role"
    """A project's own key (anon, service role), or another role than a user's."""

    SUBJECT = "subject"
    ANONYMOUS = "anonymous"
    SECOND_FACTOR = "second_factor"
    """The token is good, but its user has signed in without the second factor that the operator demands."""

    @classmethod
    def parse(cls, text: object) -> "Denial":
        """Return the class of this name; ``no_token`` for anything else."""
        return next((denial for denial in cls if denial == text), cls.NO_TOKEN)
