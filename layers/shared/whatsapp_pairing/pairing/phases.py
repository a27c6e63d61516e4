"""The use cases of the API and of the workflow's tasks."""

import math
from uuid import UUID, uuid4

from whatsapp_pairing import counting
from whatsapp_pairing.errors import (
    AtCapacity,
    SecretUnavailable,
    StoreUnavailable,
    TooSoon,
    WorkflowSilent,
    WorkflowUnavailable,
)
from whatsapp_pairing.observability import logger
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.rows import Rows
from whatsapp_pairing.results import Outcome, Result
from whatsapp_pairing.session import Again, Attempt, Phase, Wait, end_reason, next_step
from whatsapp_pairing.workflow import DECIDED, Workflow

# The errors of a wait that has waited: timed out, missed a heartbeat, or was failed by us. After any other error the
# wait failed at once.
_WAITED = (None, "States.Timeout", "States.HeartbeatTimeout", DECIDED)

# For this long after a claim, the function that claimed may still start the workflow, and the workflow may still enter
# its first wait. Each of the two functions, connect and open_phase, has 10 s.
_STARTING_SECONDS = 20.0


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
        The attempt's workflow could not be started. The attempt has ended, unless AWS may still start the workflow.
    Unauthorized
        The user was deleted.
    StoreUnavailable
        Postgres is away.
    """
    attempt_id = uuid4()
    claim = attempts.claim(user_id, attempt_id, window_seconds, live_limit)
    if claim.live_over and not claim.claimed and _end_left_over(claim.live, attempts, rows):
        claim = attempts.claim(user_id, attempt_id, window_seconds, live_limit)
    if claim.claimed:
        counting.started()
        # The only line with both user id and attempt id. It leads from a person who complains to the lines of the
        # attempt.
        logger.info("pairing started", extra={"attempt_id": str(attempt_id)})
        _start(attempt_id, True, attempts, rows, workflow)
    elif claim.live and not claim.live_has_workflow:
        # The call that claimed the attempt may have died before StartExecution. Starting twice is safe: the execution
        # is named after the attempt.
        _start(claim.live, False, attempts, rows, workflow)
    elif not claim.linked and not claim.live:
        raise TooSoon(math.ceil(claim.wait)) if claim.wait > 0 else AtCapacity()
    if claim.claimed or claim.linked:
        # The user may have edited or deleted the row of a linked device.
        rows.write(user_id, claim.version)
    return claim.claimed


def _end_left_over(attempt_id: UUID | None, attempts: Attempts, rows: Rows) -> bool:
    """End an attempt that is left over; return whether it has ended.

    Cleanup unlinks its devices, because the connect function may not start unlink.
    """
    attempt = attempts.get(attempt_id) if attempt_id else None
    return attempt is None or bool(attempt.outcome) or end_left_over(attempt, attempts, rows) is not None


def _start(attempt_id: UUID, claimed: bool, attempts: Attempts, rows: Rows, workflow: Workflow) -> None:
    """Start the workflow of an attempt; where that fails, end the attempt, unless another call may be starting it.

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
        workflow.start(attempt_id)
    except WorkflowUnavailable as error:
        try:
            attempt = attempts.get(attempt_id)
            if attempt and attempt.task_token:
                return  # AWS has started the execution, and only its answer was lost.
            others = attempt is not None and not claimed and attempt.age < _STARTING_SECONDS
            if attempt and not attempt.outcome and not others and not isinstance(error, WorkflowSilent):
                end(attempt, Reason.INTERNAL, attempts, rows)
        except (StoreUnavailable, SecretUnavailable):
            logger.warning("the database or its secret is away; the next click ends the attempt", exc_info=True)
        raise


def end(attempt: Attempt, reason: Reason, attempts: Attempts, rows: Rows) -> list[UUID] | None:
    """Record the outcome of an attempt, count it, log it and show it.

    Returns
    -------
    list of UUID, or None
        Devices to unlink; None when the attempt has changed since it was read (``end_v1``).
    """
    ended = attempts.end(attempt, reason)
    if ended is None:
        return None
    counting.ended(reason, attempt.legs)
    logger.info("attempt ended", extra={"attempt_id": str(attempt.id), "outcome": reason})
    rows.write(attempt.user_id, ended.version)
    return ended.devices


def end_left_over(attempt: Attempt, attempts: Attempts, rows: Rows) -> list[UUID] | None:
    """End an attempt that is left over, as ``end`` does.

    The caller has found the attempt some time ago. A late call of its workflow may have opened a new window meanwhile.
    The attempt then goes on.
    """
    return end(attempt, end_reason(attempt), attempts, rows) if attempt.left_over else None


def open_phase(attempt_id: UUID, wait: Wait, auth_seconds: float, attempts: Attempts, workflow: Workflow) -> None:
    """Enter a wait of the workflow: store its token, and start a linker when no lease is alive.

    Answer the wait at once when there is nothing to wait for: the attempt has ended or has its verdict, or phase ``qr``
    has shown its QR already.

    Raises
    ------
    StoreUnavailable, WorkflowUnavailable
        The wait fails, and the workflow enters it again (``settle_phase``).
    """
    attempt = attempts.open_phase(attempt_id, wait, auth_seconds)
    if attempt and attempt.outcome is Result.CONNECTED:
        workflow.succeed(wait.token)
    elif attempt is None or attempt.outcome or attempt.verdict:
        workflow.fail(wait.token)
    elif wait.phase is Phase.QR and attempt.qr_shown:
        workflow.succeed(wait.token)
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
        # The attempt has changed since it was read: decide again.


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
