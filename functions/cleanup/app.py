"""Scheduled: run the sweeps of cleanup (``cleaning.py``). With ``{"dryRun": true}``, only count what they find."""

from functools import cache
from typing import Any

from whatsapp_pairing.cleanup import Cleaning, look
from whatsapp_pairing.database import Database
from whatsapp_pairing.limits import answers_in_time, seconds_left
from whatsapp_pairing.observability import logger
from whatsapp_pairing.pairing.sweeps import Sweeps
from whatsapp_pairing.payloads import Clean, parse
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.rows import Rows
from whatsapp_pairing.settings import settings
from whatsapp_pairing.workflow import Workflow


@cache
def parts() -> tuple[Attempts, Sweeps, Rows, Workflow]:
    """Return what the instance keeps between invocations."""
    database = Database(lambda: settings().database_url)
    rows = Rows(database, settings().write_session_rows)
    return Attempts(database), Sweeps(database), rows, Workflow(settings())


@logger.inject_lambda_context(clear_state=True)
@answers_in_time
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Sweep until nothing is left or the time is up, and answer how much each sweep has done."""
    dry_run = parse(Clean, event).dry_run
    attempts, sweeps, rows, workflow = parts()
    days = settings().attempt_retention_days
    if dry_run:
        swept = look(sweeps, days)
    else:
        swept = Cleaning(attempts, sweeps, rows, workflow, seconds_left, attempt_days=days).run()
    logger.info("would be cleaned" if dry_run else "cleaned", extra=swept.as_dict())
    return swept.as_dict()
