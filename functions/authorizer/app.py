"""The HTTP API's authorizer: it finds the user of a Supabase access token.

The authorizer allows every request. For a valid token it adds the user id and the token's end, otherwise the class of
the denial. The handlers answer 401 or 403 with a message (``http.caller``), because an HTTP API would answer with a
bare 403. The template switches API Gateway's cache off. Otherwise a good token of a new key would stay denied.
"""

from functools import cache
from typing import Any

from whatsapp_pairing.core.denials import Denial
from whatsapp_pairing.core.errors import Unauthorized
from whatsapp_pairing.runtime import snapshot
from whatsapp_pairing.runtime.limits import answers_in_time
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.settings import settings
from whatsapp_pairing.web import http
from whatsapp_pairing.web.identity import Identity, TokenVerifier


@cache
def verifier() -> TokenVerifier:
    """Return the instance's verifier. It keeps the project's keys between invocations."""
    known = settings()
    return TokenVerifier(
        known.supabase_url, known.legacy_jwt_secret, known.accepted_issuers, known.allow_anonymous_users
    )


# A restored instance must ask for the keys anew, because some may have been withdrawn since the snapshot.
snapshot.forget(verifier.cache_clear)


@logger.inject_lambda_context(correlation_id_path=http.REQUEST_ID)
@answers_in_time
def handler(event: http.Request, context: Any) -> dict[str, Any]:
    """Answer with the user's id and the token's end, or with the class of the denial."""
    scheme, _, token = http.header(event, "authorization").strip().partition(" ")
    try:
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized(Denial.NO_TOKEN)
        identity = verifier().verify(token.strip())
    except Unauthorized as error:
        found = {"refused": str(error.denial)}
    else:
        found = _named(identity)
    return {"isAuthorized": True, "context": found}


def _named(identity: Identity) -> dict[str, str]:
    """Name the user, unless the sign-in is too weak.

    Both answers hold the token's end, because an expired token is always answered with 401.
    """
    expires_at = str(identity.expires_at)
    if identity.level < settings().required_assurance_level:
        return {"refused": str(Denial.SECOND_FACTOR), "expiresAt": expires_at}
    return {"userId": str(identity.user_id), "expiresAt": expires_at}
