"""The linker: holds the WhatsApp socket of one attempt, from its QR to its first sync."""

from functools import cache
from typing import Any

from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.pairing.linker import link
from whatsapp_pairing.pairing.services import services
from whatsapp_pairing.payloads import Link, parse
from whatsapp_pairing.runtime.instance import database
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.settings import settings


@cache
def engine() -> ProcessEngine:
    """Return the instance's engine. It remembers between invocations that a login was refused."""
    return ProcessEngine(lambda: settings().engine_database_url, settings().whatsapp_proxy)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    """Link, and answer how the linker ended. Only the log shows the answer, because the call is asynchronous."""
    linking = parse(Link, event)
    logger.append_keys(attempt_id=str(linking.attempt_id))
    outcome = link(linking.attempt_id, Leases(database()), services().session_rows, services().workflow, engine())
    logger.info("linker ended", extra={"outcome": outcome})
    return {"outcome": outcome}
