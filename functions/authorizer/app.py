"""HTTP API authorizer: Supabase access token → user.

It lets every request through and names the user only behind a valid token: an HTTP API would answer a refusal of
ours with a bare 403, while the handlers answer 401 in the API's own words (``http.caller``).
"""

from functools import cache
from typing import Any

from whatsapp_pairing.errors import Unauthorized
from whatsapp_pairing.identity import TokenVerifier
from whatsapp_pairing.observability import logger
from whatsapp_pairing.settings import settings


@cache
def verifier() -> TokenVerifier:
    """Return the instance's verifier; it keeps the project's keys between invocations."""
    return TokenVerifier(settings().supabase_url, settings().legacy_jwt_secret)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer with the user's id and the token's end, or with neither."""
    scheme, _, token = event["identitySource"][0].partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise Unauthorized
        identity = verifier().verify(token.strip())
    except Unauthorized:
        return {"isAuthorized": True, "context": {}}
    return {
        "isAuthorized": True,
        "context": {"userId": str(identity.user_id), "expiresAt": str(identity.expires_at)},
    }
