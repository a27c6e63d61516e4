"""Task of SettlePhase, after a wait that did not end well: let the workflow enter a wait again, or end the attempt."""

from typing import Any

from whatsapp_pairing.pairing.attempt import Again
from whatsapp_pairing.pairing.phases import settle_phase
from whatsapp_pairing.pairing.services import services
from whatsapp_pairing.payloads import SettlePhase, parse
from whatsapp_pairing.runtime.limits import answers_in_time
from whatsapp_pairing.runtime.observability import logger


@logger.inject_lambda_context(clear_state=True)
@answers_in_time
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer with the wait to enter again, or with the outcome, as ``{"next", "seconds", "heartbeat", "pause"}``."""
    settling = parse(SettlePhase, event)
    logger.append_keys(attempt_id=str(settling.attempt_id))
    step = settle_phase(settling.attempt_id, settling.error, services())
    if isinstance(step, Again):
        logger.info("another linker", extra={"error": settling.error, "seconds": step.seconds})
        return {"next": step.phase, "seconds": step.seconds, "heartbeat": step.heartbeat, "pause": step.pause}
    return {"next": step, "seconds": 0, "heartbeat": 0, "pause": 0}
