"""Scheduled when ``ProbeEnabled`` is true: ask WhatsApp for a QR.

So an operator learns of a refused engine before a user meets it. The probe needs no attempt, user or database.
"""

from typing import Any

from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.probe import probe
from whatsapp_pairing.runtime.observability import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Probe once, and answer how the probe ended. The alarms read the metrics, not this answer."""
    probed = probe(ProcessEngine())
    answer = {"failure": probed.failure, "seconds": round(probed.seconds, 3)}
    logger.info("probed", extra=answer)
    return answer
