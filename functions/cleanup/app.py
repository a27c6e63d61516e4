"""Scheduled: run the sweeps of cleanup. With ``{"dryRun": true}``, only count what they find."""

from typing import Any

from whatsapp_pairing.cleanup import Cleaning, Sweeps, count_only
from whatsapp_pairing.pairing.services import services
from whatsapp_pairing.payloads import Clean, parse
from whatsapp_pairing.runtime.instance import database
from whatsapp_pairing.runtime.limits import answers_in_time, seconds_left
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.settings import settings


@logger.inject_lambda_context(clear_state=True)
@answers_in_time
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Sweep until nothing is left or the time is up. Answer how much each sweep has done."""
    dry_run = parse(Clean, event).dry_run
    sweeps, days = Sweeps(database()), settings().attempt_retention_days
    swept = count_only(sweeps, days) if dry_run else Cleaning(services(), sweeps, seconds_left, attempt_days=days).run()
    logger.info("would be cleaned" if dry_run else "cleaned", extra=swept.as_dict())
    return swept.as_dict()
