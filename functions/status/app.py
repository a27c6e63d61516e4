"""GET /api/whatsapp/status and GET /api/whatsapp/qr: the user's session now.

Clients poll this function, so its cold start counts. It imports no tracer and no event-handler framework. It loads
boto3 only to read its secret, and the module that draws a QR only on the route /qr.
"""

from typing import Any

from whatsapp_pairing.core.errors import NoQr
from whatsapp_pairing.runtime.instance import database
from whatsapp_pairing.runtime.limits import answers_in_time
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.session.sessions import Sessions
from whatsapp_pairing.web import http

_PICTURES = {"image/svg+xml": "svg", "image/png": "png", "text/plain": "terminal"}


@logger.inject_lambda_context(clear_state=True, correlation_id_path=http.REQUEST_ID)
@http.answers_errors
@answers_in_time
def handler(event: http.Request, context: Any) -> http.Response:
    """Answer with the session as JSON, or with its QR as a picture."""
    user_id = http.caller(event)
    logger.append_keys(user_id=str(user_id))
    session = Sessions(database()).get(user_id)
    if event["rawPath"].rstrip("/").endswith("/qr"):
        return _picture(session.qr, http.accepted(event, list(_PICTURES)))
    return http.cacheable(event, http.shown(event, session))


def _picture(text: str | None, media: str) -> http.Response:
    from whatsapp_pairing.web import qr

    if text is None:
        raise NoQr
    return http.document(getattr(qr, _PICTURES[media])(text), media)
