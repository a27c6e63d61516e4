"""POST /api/whatsapp/connect: start pairing and answer at once."""

from typing import Any

from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.pairing.services import services
from whatsapp_pairing.runtime.instance import database
from whatsapp_pairing.runtime.limits import answers_in_time
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.settings import settings
from whatsapp_pairing.session.sessions import Sessions
from whatsapp_pairing.web import http


@logger.inject_lambda_context(clear_state=True, correlation_id_path=http.REQUEST_ID)
@http.answers_errors
@answers_in_time
def handler(event: http.Request, context: Any) -> http.Response:
    """Answer 202 for a new attempt, and 200 when an attempt lives or a device is linked already."""
    user_id = http.caller(event)
    logger.append_keys(user_id=str(user_id))
    started = connect(user_id, settings().qr_timeout_seconds, settings().max_live_pairings, services())
    return http.shown(event, Sessions(database()).get(user_id), 202 if started else 200)
