"""The use cases of the API and of the workflow's tasks."""

import math
from dataclasses import dataclass
from uuid import UUID, uuid4

from whatsapp_pairing import counting
from whatsapp_pairing.errors import AtCapacity, TooSoon, WorkflowUnavailable
from whatsapp_pairing.observability import logger
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.sessions import Sessions
from whatsapp_pairing.session import (
    CONNECTED,
    OVERDUE_SECONDS,
    Again,
    Attempt,
    Phase,
    Session,
    next_step,
    timeout_reason,
)
from whatsapp_pairing.workflow import Workflow

# How Step Functions names a wait that has waited in vain. By any other name it failed at once.
_WAITED = (None, "States.Timeout", "States.HeartbeatTimeout")


@dataclass(frozen=True)
class Click:
    """What a click on "Connect" has found: the session now, and whether it started the attempt."""

    started: bool
    session: Session


def connect(
    user_id: UUID, window_seconds: float, live_limit: int, attempts: Attempts, sessions: Sessions, workflow: Workflow
) -> Click:
    """Start pairing, unless a pairing is running or a device is linked: then return what is.

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
    if claim.live and _revive(attempts.last(user_id), attempts, workflow):
        claim = attempts.claim(user_id, attempt_id, window_seconds, live_limit)
    if claim.claimed:
        counting.started()
        # The one line with both ids: it leads from a person who complains to everything about their attempt.
        logger.info("pairing started", extra={"attempt_id": str(attempt_id)})
        workflow.start(attempt_id)
    elif claim.linked:
        attempts.show_linked(user_id)
    elif not claim.live:
        raise TooSoon(math.ceil(claim.wait)) if claim.wait > 0 else AtCapacity()
    return Click(claim.claimed, sessions.get(user_id))


def _revive(attempt: Attempt | None, attempts: Attempts, workflow: Workflow) -> bool:
    """Help a live attempt whose workflow is missing; returns whether it was given up so that a new one may start."""
    if attempt is None or attempt.outcome:
        return True
    # Without a token no workflow has come to it: nobody but we would end it.
    if attempt.remaining < (0 if attempt.task_token is None else -OVERDUE_SECONDS):
        # Its devices are cleanup's to unlink: a click may not start that.
        return end_overdue(attempt, attempts) is not None
    if attempt.task_token is None:
        # The click that made it died before StartExecution. The execution's name makes this safe to repeat.
        workflow.start(attempt.id)
    return False


def end(attempt: Attempt, reason: Reason, attempts: Attempts) -> list[UUID] | None:
    """Record the outcome of an attempt, count it and log it.

    Returns
    -------
    list of UUID, or None
        Devices to unlink; None when the attempt changed since it was read.
    """
    devices = attempts.end(attempt, reason)
    if devices is not None:
        counting.ended(reason, attempt.legs)
        logger.info("attempt ended", extra={"attempt_id": str(attempt.id), "outcome": reason})
    return devices


def end_overdue(attempt: Attempt, attempts: Attempts) -> list[UUID] | None:
    """End an attempt whose workflow must be gone, as ``end`` does.

    What its linker found out is the truth, though no workflow was left to hear it.
    """
    return end(attempt, attempt.verdict or timeout_reason(attempt), attempts)


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
    if attempt is None:
        ended = attempts.get(attempt_id)
        outcome = ended.outcome if ended else None
        if outcome == CONNECTED:
            workflow.succeed(token)
        else:
            workflow.fail(token, Reason.parse(outcome) or Reason.INTERNAL)
    elif attempt.verdict:
        workflow.fail(token, attempt.verdict)
    elif phase is Phase.QR and attempt.qr_shown:
        workflow.succeed(token)
    elif not attempt.alive:
        workflow.call_linker(attempt_id)


def settle_phase(attempt_id: UUID, error: str | None, attempts: Attempts, workflow: Workflow) -> Again | str:
    """Decide what follows a wait that did not end well, and record the end if it is one.

    Parameters
    ----------
    error : str or None
        Name of the error that ended the wait; anything but a reason's code counts as a lost linker.

    Returns
    -------
    Again or str
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
            return attempt.outcome
        step = next_step(attempt, Reason.parse(error), at_once=error not in _WAITED)
        if isinstance(step, Again):
            return step
        devices = end(attempt, step.reason, attempts)
        if devices is not None:
            workflow.call_unlinks(devices)
            return step.reason
        # The linker has changed the attempt since we read it: decide again.


def disconnect(user_id: UUID, attempts: Attempts, workflow: Workflow) -> bool:
    """End the user's pairing or session at once; returns whether there was anything to end.

    The row and the attempt are final when this returns. Waking the workflow and removing the device at WhatsApp are
    started here and finished by somebody else, cleanup at the latest.

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
        workflow.fail(ended.task_token, Reason.CANCELLED)
    except WorkflowUnavailable:
        logger.warning("the workflow was not woken; it will find its attempt ended", exc_info=True)
    workflow.call_unlinks(ended.devices)
    return ended.changed
