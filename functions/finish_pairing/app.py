"""Task of SettlePhase: after a wait that did not end well, enter a wait again or end the attempt."""

from functools import cache
from typing import Any

from whatsapp_pairing.database import Database
from whatsapp_pairing.limits import answers_in_time
from whatsapp_pairing.observability import logger
from whatsapp_pairing.pairing.phases import settle_phase
from whatsapp_pairing.payloads import SettlePhase, parse
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.rows import Rows
from whatsapp_pairing.session import Again
from whatsapp_pairing.settings import settings
from whatsapp_pairing.workflow import Workflow


@cache
def parts() -> tuple[Attempts, Rows, Workflow]:
    """Return what the instance keeps between invocations."""
    database = Database(lambda: settings().database_url)
    return Attempts(database), Rows(database, settings().write_session_rows), Workflow(settings())


@logger.inject_lambda_context(clear_state=True)
@answers_in_time
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer with the wait to enter again, or with the outcome, as ``{"next", "seconds", "heartbeat", "pause"}``."""
    settling = parse(SettlePhase, event)
    logger.append_keys(attempt_id=str(settling.attempt_id))
    step = settle_phase(settling.attempt_id, settling.error, *parts())
    if isinstance(step, Again):
        logger.info("another linker", extra={"error": settling.error, "seconds": step.seconds})
        return {"next": step.phase, "seconds": step.seconds, "heartbeat": step.heartbeat, "pause": step.pause}
    return {"next": step, "seconds": 0, "heartbeat": 0, "pause": 0}
