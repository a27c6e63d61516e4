"""The use case connect: a person clicks "Connect WhatsApp"."""

import math
from uuid import UUID, uuid4

from whatsapp_pairing.core.errors import (
    AtCapacity,
    DatabaseUnavailable,
    SecretUnavailable,
    TooSoon,
    WorkflowSilent,
    WorkflowUnavailable,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.ending import end, end_left_over
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.runtime import metrics
from whatsapp_pairing.runtime.observability import logger

# For this long after a claim, the function that claimed may still start the workflow, and the workflow may still enter
# its first wait. Each of the two functions, connect and open_phase, has 10 s.
_STARTING_SECONDS = 20.0


def connect(user_id: UUID, window_seconds: float, max_live: int, services: Services) -> bool:
    """Start pairing, unless an attempt lives or a device is linked. Return whether an attempt was started.

    Parameters
    ----------
    window_seconds : float
        How long WhatsApp has to give a QR.
    max_live : int
        How many attempts of all users may live at once.

    Raises
    ------
    TooSoon
        The pause after the last attempt is not over, or the user has started ``MOST_PER_HOUR`` attempts in an hour.
    AtCapacity
        As many attempts live as the system is meant for.
    WorkflowUnavailable
        The attempt's workflow could not be started. The attempt has ended, unless AWS may still start the workflow.
    Unauthorized
        The user was deleted.
    DatabaseUnavailable
        Postgres is away.
    """
    attempt_id = uuid4()
    claim = services.attempts.claim(user_id, attempt_id, window_seconds, max_live)
    if claim.live_over and not claim.claimed and _end_left_over(claim.live, services):
        claim = services.attempts.claim(user_id, attempt_id, window_seconds, max_live)
    if claim.claimed:
        metrics.started()
        # This log line has both the user id and the attempt id. With it, an operator finds the attempt of a person
        # who complains.
        logger.info("pairing started", extra={"attempt_id": str(attempt_id)})
        _start(attempt_id, True, services)
    elif claim.live and not claim.live_has_workflow:
        # The call that claimed the attempt may have died before StartExecution. A second start is
        # safe, because the execution is named after the attempt.
        _start(claim.live, False, services)
    elif not claim.linked and not claim.live:
        raise TooSoon(math.ceil(claim.wait)) if claim.wait > 0 else AtCapacity()
    if claim.claimed or claim.linked:
        # When a device is linked, the user may have edited or deleted the session row.
        services.session_rows.write(user_id, claim.version)
    return claim.claimed


def _end_left_over(attempt_id: UUID | None, services: Services) -> bool:
    """End an attempt that is left over; return whether it has ended.

    Cleanup unlinks its devices, because the connect function may not start unlink.
    """
    attempt = services.attempts.get(attempt_id) if attempt_id else None
    return attempt is None or bool(attempt.outcome) or end_left_over(attempt, services) is not None


def _start(attempt_id: UUID, claimed: bool, services: Services) -> None:
    """Start the workflow. If that fails, end the attempt, unless another call may be about to start the workflow.

    Parameters
    ----------
    claimed : bool
        Whether this call has claimed the attempt.

    Raises
    ------
    WorkflowUnavailable
        Step Functions cannot be reached or refuses.
    """
    try:
        services.workflow.start(attempt_id)
    except WorkflowUnavailable as error:
        try:
            attempt = services.attempts.get(attempt_id)
            if attempt and attempt.task_token:
                return  # AWS has started the execution, and only its answer was lost.
            others = attempt is not None and not claimed and attempt.age < _STARTING_SECONDS
            if attempt and not attempt.outcome and not others and not isinstance(error, WorkflowSilent):
                end(attempt, Reason.INTERNAL, services)
        except (DatabaseUnavailable, SecretUnavailable):
            logger.warning("the database or its secret is away; the next click ends the attempt", exc_info=True)
        raise
