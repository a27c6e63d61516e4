"""The use cases of the workflow's two waits: what happens when a wait is entered, and when a wait has failed."""

from uuid import UUID

from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.core.results import Outcome, Result
from whatsapp_pairing.pairing.attempt import Again, Phase, Wait, next_step
from whatsapp_pairing.pairing.ending import end
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.runtime.workflow import DECIDED

# These errors end a wait that was entered: it timed out, it missed a heartbeat, or we failed it. After any other error,
# the wait has failed at once: open_phase has failed, or AWS could not call it.
_WAITED = (None, "States.Timeout", "States.HeartbeatTimeout", DECIDED)


def open_phase(attempt_id: UUID, wait: Wait, auth_seconds: float, services: Services) -> None:
    """Enter a wait of the workflow: store its token, and start a linker when none holds the attempt's lease.

    The wait is answered at once when there is nothing to wait for: the attempt has ended or has a verdict, or it is the
    wait for a QR and a QR was shown already.

    Parameters
    ----------
    auth_seconds : float
        The window for the scan.

    Raises
    ------
    DatabaseUnavailable, WorkflowUnavailable
        The wait fails, and the workflow enters it again (``settle_phase``).
    """
    workflow = services.workflow
    attempt = services.attempts.open_phase(attempt_id, wait, auth_seconds)
    if attempt and attempt.outcome is Result.CONNECTED:
        workflow.succeed(wait.token)
    elif attempt is None or attempt.outcome or attempt.verdict:
        workflow.fail(wait.token)
    elif wait.phase is Phase.QR and attempt.qr_shown:
        workflow.succeed(wait.token)
    elif not attempt.alive:
        workflow.call_linker(attempt_id)


def settle_phase(attempt_id: UUID, error: str | None, services: Services) -> Again | Outcome:
    """Decide what follows a wait that did not end well, and record the end if it is one.

    Parameters
    ----------
    error : str or None
        Name of the error that ended the wait. It only tells whether the wait failed at once.

    Returns
    -------
    Again or Outcome
        The wait to enter again and for how long, or the attempt's outcome.

    Raises
    ------
    DatabaseUnavailable
        Nothing is decided. The workflow calls again.
    """
    while True:
        attempt = services.attempts.get(attempt_id)
        if attempt is None:  # its user was deleted
            return Reason.INTERNAL
        if attempt.outcome:
            # The function that ended the attempt may have died before it wrote the session row.
            services.session_rows.write(attempt.user_id, attempt.version)
            return attempt.outcome
        step = next_step(attempt, at_once=error not in _WAITED)
        if isinstance(step, Again):
            return step
        devices = end(attempt, step, services)
        if devices is not None:
            services.workflow.call_unlinks(devices)
            return step
        # The attempt has changed since it was read, so decide again.
