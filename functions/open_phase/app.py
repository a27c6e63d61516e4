"""Task of WaitForQr and WaitForAuth: store the wait's token, and start a linker when no lease is alive."""

from functools import cache
from typing import Any

from whatsapp_pairing.database import Database
from whatsapp_pairing.limits import answers_in_time
from whatsapp_pairing.observability import logger
from whatsapp_pairing.pairing.phases import open_phase
from whatsapp_pairing.payloads import OpenPhase, parse
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.session import Wait
from whatsapp_pairing.settings import settings
from whatsapp_pairing.workflow import Workflow


@cache
def parts() -> tuple[Attempts, Workflow]:
    """Return what the instance keeps between invocations."""
    return Attempts(Database(lambda: settings().database_url)), Workflow(settings())


@logger.inject_lambda_context(clear_state=True)
@answers_in_time
def handler(event: dict[str, Any], context: Any) -> None:
    """Enter the wait. Its answer comes through the token, not from this function."""
    opening = parse(OpenPhase, event)
    logger.append_keys(attempt_id=str(opening.attempt_id), phase=opening.phase)
    wait = Wait(opening.phase, opening.task_token, opening.entered_at)
    open_phase(opening.attempt_id, wait, settings().auth_timeout_seconds, *parts())
