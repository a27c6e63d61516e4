"""Asynchronous: remove a device at WhatsApp, then its keys. A failure is raised, so that Lambda tries again."""

from functools import cache
from typing import Any

from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.database import Database
from whatsapp_pairing.observability import logger
from whatsapp_pairing.payloads import Unlink, parse
from whatsapp_pairing.repository.devices import Devices
from whatsapp_pairing.settings import settings
from whatsapp_pairing.unlinking import unlink


@cache
def parts() -> tuple[Devices, ProcessEngine]:
    """Return what the instance keeps between invocations."""
    return Devices(Database(lambda: settings().database_url)), ProcessEngine(lambda: settings().engine_database_url)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> None:
    """Unlink one device."""
    unlinking = parse(Unlink, event)
    logger.append_keys(device_id=str(unlinking.device_id))
    unlink(unlinking.device_id, *parts())
    logger.info("device unlinked")
