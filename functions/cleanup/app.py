"""Scheduled: sweep up what lost its workflow, its row or its owner."""

from functools import cache
from typing import Any

from whatsapp_pairing.cleaning import clean
from whatsapp_pairing.database import Database
from whatsapp_pairing.observability import logger
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.sweeps import Sweeps
from whatsapp_pairing.settings import settings
from whatsapp_pairing.workflow import Workflow


@cache
def parts() -> tuple[Attempts, Sweeps, Workflow]:
    """Return what the instance keeps between invocations."""
    database = Database(lambda: settings().database_url)
    return Attempts(database), Sweeps(database), Workflow(settings())


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Sweep one batch of each kind and say how much there was."""
    swept = clean(*parts()).as_dict()
    logger.info("cleaned", extra=swept)
    return swept
