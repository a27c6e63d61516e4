"""POST /api/whatsapp/disconnect: end an attempt or a session at once; the unlink function then removes the device."""

from typing import Any

from whatsapp_pairing.pairing.disconnect import disconnect
from whatsapp_pairing.pairing.services import services
from whatsapp_pairing.runtime.limits import answers_in_time
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.web import http


@logger.inject_lambda_context(clear_state=True, correlation_id_path=http.REQUEST_ID)
@http.answers_errors
@answers_in_time
def handler(event: http.Request, context: Any) -> http.Response:
    """Answer ``disconnected``, or ``already_disconnected`` when there was nothing to end."""
    user_id = http.caller(event)
    logger.append_keys(user_id=str(user_id))
    ended = disconnect(user_id, services())
    return http.success({"status": "disconnected" if ended else "already_disconnected"})
