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

# The errors of a wait that has waited: timed out, missed a heartbeat, or was failed by us. After any other error the
# wait failed at once.
_WAITED = (None, "States.Timeout", "States.HeartbeatTimeout", DECIDED)


def connect(
    user_id: UUID, window_seconds: float, live_limit: int, attempts: Attempts, rows: Rows, workflow: Workflow
) -> bool:
    """Start pairing, unless an attempt lives or a device is linked; return whether an attempt was started.

    Raises
    ------
    TooSoon
        The pause after the last attempt is not over.
    AtCapacity
        As many attempts live as the system is meant for.
    WorkflowUnavailable
        The attempt is stored. The next click starts its workflow.
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
        # The only line with both user id and attempt id. It leads from a person who complains to the lines of the
        # attempt.
        logger.info("pairing started", extra={"attempt_id": str(attempt_id)})
        workflow.start(attempt_id)
    elif not claim.linked and not claim.live:
        raise TooSoon(math.ceil(claim.wait)) if claim.wait > 0 else AtCapacity()
    if claim.claimed or claim.linked:
        # The user may have edited or deleted the row of a linked device.
        rows.write(user_id, claim.version)
    return claim.claimed


def _revive(claim: Claim, attempts: Attempts, rows: Rows, workflow: Workflow) -> bool:
    """Start a live attempt's missing workflow, or end an overdue attempt; return whether a new one may start."""
    assert claim.live is not None
    assert claim.live_remaining is not None
    # Without a token no workflow waits for the attempt and would end it. So it is overdue as soon as its window is
    # over.
    if claim.live_remaining < (-OVERDUE_SECONDS if claim.live_has_workflow else 0):
        attempt = attempts.get(claim.live)
        # Cleanup unlinks the devices of this attempt, because the connect function may not start unlink.
        return attempt is None or bool(attempt.outcome) or end_overdue(attempt, attempts, rows) is not None
    if not claim.live_has_workflow:
        # The call that claimed the attempt may have died before StartExecution. Starting twice is safe: the execution
        # is named after the attempt.
        workflow.start(claim.live)
    return False


def end(attempt: Attempt, reason: Reason, attempts: Attempts, rows: Rows) -> list[UUID] | None:
    """Record the outcome of an attempt, count it, log it and show it.

    Returns
    -------
    list of UUID, or None
        Devices to unlink; None when the attempt has ended, or its deadline has moved, since it was read.
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

    A verdict in the attempt becomes the outcome, although no workflow was left to settle it.
    """
    return end(attempt, attempt.verdict or timeout_reason(attempt), attempts, rows)


def open_phase(
    attempt_id: UUID, phase: Phase, token: str, auth_seconds: float, attempts: Attempts, workflow: Workflow
) -> None:
    """Enter a wait of the workflow: store its token, and start a linker when no lease is alive.

    Answer the wait at once when there is nothing to wait for: the attempt has ended or has its verdict, or phase ``qr``
    has shown its QR already.

    Raises
    ------
    StoreUnavailable, WorkflowUnavailable
        The wait fails, and the workflow enters it again (``settle_phase``).
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
        Name of the error that ended the wait. It tells only whether the wait has waited; the attempt decides the rest.

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
        # The attempt has ended, or its deadline has moved, since it was read: decide again.


def disconnect(user_id: UUID, attempts: Attempts, rows: Rows, workflow: Workflow) -> bool:
    """End the user's attempt or session at once; return whether there was anything to end.

    Attempt and session have ended in the database when this returns. It only starts the removal of the device at
    WhatsApp. The unlink function finishes it; cleanup starts unlink again where that fails.

    Raises
    ------
    StoreUnavailable
        Postgres did not answer. The change may still have been made; the person may click again.
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
