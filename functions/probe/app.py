"""Scheduled, when it is switched on: ask WhatsApp for a QR, so that a refused engine is known before a person meets it.

It needs no attempt, no user and no database.
"""

from typing import Any

from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.observability import logger
from whatsapp_pairing.probing import probe


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Probe once and say how it went; the metrics say it to the alarms."""
    probed = probe(ProcessEngine())
    answer = {"failure": probed.failure, "seconds": round(probed.seconds, 3)}
    logger.info("probed", extra=answer)
    return answer
