"""Why a request has no user who may pair. The log gets one of these words, and nothing that the caller sent."""

from enum import StrEnum


class Denial(StrEnum):
    """The class of a 401 or 403."""

    NO_TOKEN = "no_token"
    """The request has no header ``Authorization: Bearer``, or the header has no token."""

    TOO_LONG = "too_long"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    """The token is signed in a way that we do not accept, e.g. HS256 without ``LegacyJwtSecretName``."""

    UNKNOWN_KEY = "unknown_key"
    """The project does not publish a key with this id at the moment."""

    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    ROLE = "role"
    """The token is one of the project's own keys (anon, service role), or its role is not a user's."""

    SUBJECT = "subject"
    ANONYMOUS = "anonymous"
    SECOND_FACTOR = "second_factor"
    """The token is good, but its user has signed in without the second factor that the operator demands."""

    @classmethod
    def parse(cls, text: object) -> "Denial":
        """Return the class of this name. Any other text is ``no_token``."""
        return next((denial for denial in cls if denial == text), cls.NO_TOKEN)
