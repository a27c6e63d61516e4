"""POST /api/whatsapp/connect: start pairing and answer at once."""

from functools import cache
from typing import Any

from whatsapp_pairing import http
from whatsapp_pairing.database import Database
from whatsapp_pairing.limits import answers_in_time
from whatsapp_pairing.observability import logger
from whatsapp_pairing.pairing.phases import connect
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.rows import Rows
from whatsapp_pairing.repository.sessions import Sessions
from whatsapp_pairing.settings import settings
from whatsapp_pairing.workflow import Workflow


@cache
def parts() -> tuple[Sessions, tuple[Attempts, Rows, Workflow]]:
    """Return what the instance keeps between invocations."""
    database = Database(lambda: settings().database_url)
    rows = Rows(database, settings().write_session_rows)
    return Sessions(database), (Attempts(database), rows, Workflow(settings()))


@logger.inject_lambda_context(clear_state=True, correlation_id_path=http.REQUEST_ID)
@http.answers_errors
@answers_in_time
def handler(event: http.Event, context: Any) -> http.Response:
    """Answer 202 for a new attempt, 200 with the one that lives or with the linked device, 429 or 503 for a refusal."""
    user_id = http.caller(event)
    logger.append_keys(user_id=str(user_id))
    sessions, pairing = parts()
    started = connect(user_id, settings().qr_timeout_seconds, settings().max_live_pairings, *pairing)
    return http.shown(event, sessions.get(user_id), 202 if started else 200)
