"""Task of WaitForQr and WaitForAuth: store the wait's token, and start a linker when none holds the lease."""

from typing import Any

from whatsapp_pairing.pairing.attempt import Wait
from whatsapp_pairing.pairing.phases import open_phase
from whatsapp_pairing.pairing.services import services
from whatsapp_pairing.payloads import OpenPhase, parse
from whatsapp_pairing.runtime.limits import answers_in_time
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.settings import settings


@logger.inject_lambda_context(clear_state=True)
@answers_in_time
def handler(event: dict[str, Any], context: Any) -> None:
    """Enter the wait. The wait is answered through its token, and not by this function."""
    opening = parse(OpenPhase, event)
    logger.append_keys(attempt_id=str(opening.attempt_id), phase=opening.phase)
    wait = Wait(opening.phase, opening.task_token, opening.entered_at)
    open_phase(opening.attempt_id, wait, settings().auth_timeout_seconds, services())
