"""HTTP API authorizer: Supabase access token → user.

It lets every request through and names the user only behind a valid token, or else the class of what is wrong: an HTTP
API would answer a refusal of ours with a bare 403, while the handlers answer 401 in the API's own words
(``http.caller``). The template has its answers not cached. API Gateway keeps every answer equally long, so a good token
of a new key would stay refused for as long as a bad one.
"""

from functools import cache
from typing import Any

from whatsapp_pairing import http
from whatsapp_pairing.errors import Unauthorized
from whatsapp_pairing.identity import TokenVerifier
from whatsapp_pairing.observability import logger
from whatsapp_pairing.refusals import Refusal
from whatsapp_pairing.settings import settings


@cache
def verifier() -> TokenVerifier:
    """Return the instance's verifier; it keeps the project's keys between invocations."""
    known = settings()
    return TokenVerifier(
        known.supabase_url, known.legacy_jwt_secret, known.accepted_issuers, known.allow_anonymous_users
    )


@logger.inject_lambda_context(correlation_id_path=http.REQUEST_ID)
def handler(event: http.Event, context: Any) -> dict[str, Any]:
    """Answer with the user's id and the token's end, or with the class of the refusal."""
    scheme, _, token = http.header(event, "authorization").strip().partition(" ")
    try:
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthorized(Refusal.NO_TOKEN)
        identity = verifier().verify(token.strip())
    except Unauthorized as error:
        found = {"refused": str(error.refusal)}
    else:
        found = {"userId": str(identity.user_id), "expiresAt": str(identity.expires_at)}
    return {"isAuthorized": True, "context": found}
