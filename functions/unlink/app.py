"""Asynchronous: remove a device at WhatsApp, then its keys. A failure is raised, so that Lambda tries again."""

from functools import cache
from typing import Any

from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.keeper.devices import Devices
from whatsapp_pairing.keeper.unlink import unlink
from whatsapp_pairing.payloads import Unlink, parse
from whatsapp_pairing.runtime.instance import database
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.settings import settings


@cache
def engine() -> ProcessEngine:
    """Return the instance's engine. It remembers between invocations that a login was refused."""
    return ProcessEngine(lambda: settings().engine_database_url, settings().whatsapp_proxy)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> None:
    """Unlink one device."""
    unlinking = parse(Unlink, event)
    logger.append_keys(device_id=str(unlinking.device_id))
    unlink(unlinking.device_id, Devices(database()), engine())
    logger.info("device unlinked")
