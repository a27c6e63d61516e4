"""POST /api/whatsapp/disconnect: end an attempt or a session at once; the unlink function then removes the device."""

from functools import cache
from typing import Any

from whatsapp_pairing import http
from whatsapp_pairing.database import Database
from whatsapp_pairing.limits import answers_in_time
from whatsapp_pairing.observability import logger
from whatsapp_pairing.pairing.phases import disconnect
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.rows import Rows
from whatsapp_pairing.settings import settings
from whatsapp_pairing.workflow import Workflow


@cache
def parts() -> tuple[Attempts, Rows, Workflow]:
    """Return what the instance keeps between invocations."""
    database = Database(lambda: settings().database_url)
    return Attempts(database), Rows(database, settings().write_session_rows), Workflow(settings())


@logger.inject_lambda_context(clear_state=True, correlation_id_path=http.REQUEST_ID)
@http.answers_errors
@answers_in_time
def handler(event: http.Event, context: Any) -> http.Response:
    """Answer ``disconnected``, or ``already_disconnected`` when there was nothing to end."""
    user_id = http.caller(event)
    logger.append_keys(user_id=str(user_id))
    ended = disconnect(user_id, *parts())
    return http.success({"status": "disconnected" if ended else "already_disconnected"})
