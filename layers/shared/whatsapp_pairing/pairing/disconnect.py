"""The use case disconnect: a person ends their pairing or their session."""

from uuid import UUID

from whatsapp_pairing.core.errors import WorkflowUnavailable
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.runtime import metrics
from whatsapp_pairing.runtime.observability import logger


def disconnect(user_id: UUID, services: Services) -> bool:
    """End the user's attempt or session at once. Return whether there was anything to end.

    When this function returns, attempt and session have ended in the database. The unlink function then removes the
    device at WhatsApp. If that fails, cleanup starts unlink again.

    Raises
    ------
    DatabaseUnavailable
        Postgres did not answer. The change may still have been made; the person may click again.
    """
    ended = services.attempts.disconnect(user_id)
    if ended.linkers is not None:
        metrics.ended(Reason.CANCELLED, ended.linkers)
    if ended.changed:
        logger.info("disconnected", extra={"devices": len(ended.devices)})
    try:
        services.workflow.fail(ended.task_token)
    except WorkflowUnavailable:
        logger.warning("the workflow was not woken; it will find its attempt ended", exc_info=True)
    services.workflow.call_unlinks(ended.devices)
    services.session_rows.write(user_id, ended.version)
    return ended.changed
