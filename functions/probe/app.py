"""Scheduled when ``ProbeEnabled`` is true: ask WhatsApp for a QR.

So an operator learns of a refused engine before a user meets it. The probe needs no attempt, user or database.
"""

from functools import cache
from typing import Any

from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.probe import probe
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.settings import settings


@cache
def engine() -> ProcessEngine:
    """Return the instance's engine, which keeps its keys in memory."""
    return ProcessEngine(proxy=settings().whatsapp_proxy)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Probe once, and answer how the probe ended. The alarms read the metrics, not this answer."""
    probed = probe(engine())
    answer = {"failure": probed.failure, "seconds": round(probed.seconds, 3)}
    logger.info("probed", extra=answer)
    return answer
