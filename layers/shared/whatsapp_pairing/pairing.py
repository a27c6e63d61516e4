"""The use cases of the API and of the workflow's tasks."""

import math
from uuid import UUID, uuid4

from whatsapp_pairing import counting
from whatsapp_pairing.errors import AtCapacity, TooSoon, WorkflowUnavailable
from whatsapp_pairing.observability import logger
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.repository.attempts import Attempts, Claim
from whatsapp_pairing.repository.rows import Rows
from whatsapp_pairing.results import Outcome, Result
from whatsapp_pairing.session import OVERDUE_SECONDS, Again, Attempt, Phase, next_step, timeout_reason
from whatsapp_pairing.workflow import DECIDED, Workflow

# How Step Functions names the end of a wait that has waited. By any other name the wait failed at once.
_WAITED = (None, "States.Timeout", "States.HeartbeatTimeout", DECIDED)


def connect(
    user_id: UUID, window_seconds: float, live_limit: int, attempts: Attempts, rows: Rows, workflow: Workflow
) -> bool:
    """Start pairing, unless a pairing is running or a device is linked; returns whether an attempt was started.

    Raises
    ------
    TooSoon
        The pause after the last attempt is not over.
    AtCapacity
        As many pairings are running as the system is meant for.
    WorkflowUnavailable
        The attempt stands and the next click starts its workflow.
    Unauthorized
        The user was deleted.
    StoreUnavailable
        Postgres is away.
    """
    attempt_id = uuid4()
    claim = attempts.claim(user_id, attempt_id, window_seconds, live_limit)
    if claim.live and not claim.claimed and _revive(claim, attempts, rows, workflow):
        claim = attempts.claim(user_id, attempt_id, window_seconds, live_limit)
    if claim.claimed:
        counting.started()
        # The one line with both ids: it leads from a person who complains to everything about their attempt.
        logger.info("pairing started", extra={"attempt_id": str(attempt_id)})
        workflow.start(attempt_id)
    elif not claim.linked and not claim.live:
        raise TooSoon(math.ceil(claim.wait)) if claim.wait > 0 else AtCapacity()
    if claim.claimed or claim.linked:
        # The user may have edited or deleted the row of a linked device.
        rows.write(user_id, claim.version)
    return claim.claimed


def _revive(claim: Claim, attempts: Attempts, rows: Rows, workflow: Workflow) -> bool:
    """Help a live attempt whose workflow is missing; returns whether it was given up so that a new one may start."""
    assert claim.live is not None
    assert claim.live_remaining is not None
    # Without a token no workflow has come to the attempt, so nobody but this call would end it.
    if claim.live_remaining < (-OVERDUE_SECONDS if claim.live_has_workflow else 0):
        attempt = attempts.get(claim.live)
        # Cleanup unlinks its devices: a click may not start that.
        return attempt is None or bool(attempt.outcome) or end_overdue(attempt, attempts, rows) is not None
    if not claim.live_has_workflow:
        # The click that made it died before StartExecution. The execution's name makes this safe to repeat.
        workflow.start(claim.live)
    return False


def end(attempt: Attempt, reason: Reason, attempts: Attempts, rows: Rows) -> list[UUID] | None:
    """Record the outcome of an attempt, count it, log it and show it.

    Returns
    -------
    list of UUID, or None
        Devices to unlink; None when the attempt changed since it was read.
    """
    ended = attempts.end(attempt, reason)
    if ended is None:
        return None
    counting.ended(reason, attempt.legs)
    logger.info("attempt ended", extra={"attempt_id": str(attempt.id), "outcome": reason})
    rows.write(attempt.user_id, ended.version)
    return ended.devices


def end_overdue(attempt: Attempt, attempts: Attempts, rows: Rows) -> list[UUID] | None:
    """End an attempt whose workflow must be gone, as ``end`` does.

    Its verdict counts, though no workflow was left to hear it.
    """
    return end(attempt, attempt.verdict or timeout_reason(attempt), attempts, rows)


def open_phase(
    attempt_id: UUID, phase: Phase, token: str, auth_seconds: float, attempts: Attempts, workflow: Workflow
) -> None:
    """Enter a wait of the workflow: keep its token, and start a linker when none is alive.

    A wait that has nothing to wait for is answered at once: the attempt was cancelled, connected, got its verdict, or
    (phase ``qr``) has shown its QR already.

    Raises
    ------
    StoreUnavailable, WorkflowUnavailable
        Nothing waits then; the workflow comes again.
    """
    attempt = attempts.open_phase(attempt_id, phase, token, auth_seconds)
    if attempt and attempt.outcome is Result.CONNECTED:
        workflow.succeed(token)
    elif attempt is None or attempt.outcome or attempt.verdict:
        workflow.fail(token)
    elif phase is Phase.QR and attempt.qr_shown:
        workflow.succeed(token)
    elif not attempt.alive:
        workflow.call_linker(attempt_id)


def settle_phase(
    attempt_id: UUID, error: str | None, attempts: Attempts, rows: Rows, workflow: Workflow
) -> Again | Outcome:
    """Decide what follows a wait that did not end well, and record the end if it is one.

    Parameters
    ----------
    error : str or None
        Name of the error that ended the wait. It tells only whether the wait has waited; the database decides.

    Returns
    -------
    Again or Outcome
        Which wait to enter again and for how long; or the attempt's outcome.

    Raises
    ------
    StoreUnavailable
        Nothing is decided; the workflow tries again.
    """
    while True:
        attempt = attempts.get(attempt_id)
        if attempt is None:  # its user was deleted
            return Reason.INTERNAL
        if attempt.outcome:
            # The function that ended the attempt may have died before it wrote the row.
            rows.write(attempt.user_id, attempt.version)
            return attempt.outcome
        step = next_step(attempt, at_once=error not in _WAITED)
        if isinstance(step, Again):
            return step
        devices = end(attempt, step, attempts, rows)
        if devices is not None:
            workflow.call_unlinks(devices)
            return step
        # The linker has changed the attempt since it was read: decide again.


def disconnect(user_id: UUID, attempts: Attempts, rows: Rows, workflow: Workflow) -> bool:
    """End the user's pairing or session at once; returns whether there was anything to end.

    Session and attempt are final when this returns. Waking the workflow and removing the device at WhatsApp are started
    here and finished by other functions, cleanup at the latest.

    Raises
    ------
    StoreUnavailable
        Nothing has changed.
    """
    ended = attempts.disconnect(user_id)
    if ended.legs is not None:
        counting.ended(Reason.CANCELLED, ended.legs)
    if ended.changed:
        logger.info("disconnected", extra={"devices": len(ended.devices)})
    try:
        workflow.fail(ended.task_token)
    except WorkflowUnavailable:
        logger.warning("the workflow was not woken; it will find its attempt ended", exc_info=True)
    workflow.call_unlinks(ended.devices)
    rows.write(user_id, ended.version)
    return ended.changed
