"""How an attempt ends without a linked device: the reason is recorded, counted, logged and shown."""

from uuid import UUID

from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import Attempt, end_reason
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.runtime import metrics
from whatsapp_pairing.runtime.observability import logger


def end(attempt: Attempt, reason: Reason, services: Services) -> list[UUID] | None:
    """Record the outcome of an attempt, count it, log it and show it.

    Returns
    -------
    list of UUID, or None
        Devices to unlink; None when the attempt has changed since it was read (``end_v1``).
    """
    ended = services.attempts.end(attempt, reason)
    if ended is None:
        return None
    metrics.ended(reason, attempt.linkers)
    logger.info("attempt ended", extra={"attempt_id": str(attempt.id), "outcome": reason})
    services.session_rows.write(attempt.user_id, ended.version)
    return ended.devices


def end_left_over(attempt: Attempt, services: Services) -> list[UUID] | None:
    """End an attempt that is left over, as ``end`` does.

    Return None when the attempt is no longer left over: a late call of its workflow may have opened a new window.
    """
    return end(attempt, end_reason(attempt), services) if attempt.left_over else None
