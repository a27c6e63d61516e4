"""The linker: holds the WhatsApp socket of one attempt, from its QR to its first sync."""

from functools import cache
from typing import Any

from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.database import Database
from whatsapp_pairing.observability import logger
from whatsapp_pairing.pairing.linker import link
from whatsapp_pairing.payloads import Link, parse
from whatsapp_pairing.repository.leases import Leases
from whatsapp_pairing.repository.rows import Rows
from whatsapp_pairing.settings import settings
from whatsapp_pairing.workflow import Workflow


@cache
def parts() -> tuple[Leases, Rows, Workflow, ProcessEngine]:
    """Return what the instance keeps between invocations. It keeps no engine: a child process ends with its run."""
    database = Database(lambda: settings().database_url)
    rows = Rows(database, settings().write_session_rows)
    return Leases(database), rows, Workflow(settings()), ProcessEngine(lambda: settings().engine_database_url)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    """Link, and answer how it ended. Only the log shows the answer, because the call is asynchronous."""
    linking = parse(Link, event)
    logger.append_keys(attempt_id=str(linking.attempt_id))
    outcome = link(linking.attempt_id, *parts())
    logger.info("linker ended", extra={"outcome": outcome})
    return {"outcome": outcome}
