"""An attempt as the database answers it, and the rule for what follows a wait. Pure: no clock, no I/O."""

import math
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.core.results import Outcome

# Pause in seconds, by the number of failures in a row before it. The pause runs from the start of the last attempt. It
# is never longer than the default QR window, so a user whose QR timed out may try again at once.
PAUSES = (5, 5, 5, 10, 20, 40, 80, 120)

# How many attempts of one user may start within an hour. A pause alone does not stop a user who cancels and clicks
# again. Each attempt costs an execution, a linker and a connection to WhatsApp, which counts the connections of our
# address.
MOST_PER_HOUR = 30

# The first scan moves the deadline, so that at least this long is left. A device that is scanned in the last second of
# the window still has time to log in.
AFTER_SCAN_SECONDS = 60

# Each of the first MOST_REFUSALS refusals of an attempt is answered with another QR. The next refusal ends the
# attempt. A refusal also ends it when less than SCAN_AGAIN_SECONDS are left for another scan.
MOST_REFUSALS = 3
SCAN_AGAIN_SECONDS = 30

# A linker renews its lease together with the workflow's heartbeat. When no heartbeat comes for this long, the workflow
# counts the linker as lost. pairing.asl.json has the same number.
HEARTBEAT_SECONDS = 10

# After this many lost linkers the attempt ends as linker_failed. The workflow notices each loss by a missed heartbeat,
# so a window has time for about this many. With a larger number the window would end first, and the person would read
# that they were too slow.
MAX_LINKERS = 8

# Pause before a wait that failed at once is entered again. The cause needs time to pass, for example a throttled call.
# Without the pause, the workflow would try again in quick rounds, and each round costs state transitions.
RETRY_SECONDS = 2

# A QR may come in the last moment of its window. The workflow then has this long to open the window of the scan.
HANDOVER_SECONDS = 10

# These reasons tell the person that nobody scanned.
_NOT_SCANNED = (Reason.QR_TIMEOUT, Reason.SCAN_TIMEOUT, Reason.SCAN_NOT_REPEATED)


class Phase(StrEnum):
    """The workflow's two waits."""

    QR = "qr"
    AUTH = "auth"


@dataclass(frozen=True)
class Wait:
    """A wait that the workflow has entered. ``entered_at`` is by AWS's clock. It orders the waits of an attempt."""

    phase: Phase
    token: str = field(repr=False)
    entered_at: datetime


@dataclass(frozen=True)
class Attempt:
    """An attempt as the database knows it at one moment.

    Attributes
    ----------
    phase : Phase
        ``QR`` until the workflow enters the wait for the scan, then ``AUTH``.
    task_token : str or None
        The token of the wait that the workflow has entered last; None before its first wait.
    linkers : int
        How many linkers have taken the attempt's lease so far.
    qr_shown : bool
        Whether a QR has been shown.
    verdict : Reason or None
        Why the linker says that the attempt must end; None while it does not.
    age : float
        Seconds since the start by the database's clock.
    remaining : float
        Seconds until the deadline by the database's clock; negative when it is over.
    deadline : datetime
        End of the window of the present phase.
    since_scan : float or None
        Seconds since a phone scanned; None when none has.
    reachable : bool
        Whether WhatsApp answered when a linker last tried.
    alive : bool
        Whether a linker holds the lease now.
    outcome : Outcome or None
        How the attempt has ended; None while it lives.
    version : int
        The number of the session's version. Every change that the user sees raises it.
    notice : Notice or None
        What the person is asked to do; a scan clears it.
    refusals : int
        How many refusals were answered with another QR.
    stored_jid, stored_fingerprint : str, bytes or None
        The newest device of the attempt for which whatsmeow has stored keys, unless it is linked.
    left_over : bool
        Whether no linker and no workflow works on the live attempt any more. It only waits to be ended.
    """

    id: UUID
    user_id: UUID
    phase: Phase
    deadline: datetime
    age: float
    remaining: float
    since_scan: float | None
    task_token: str | None = field(repr=False)
    alive: bool
    linkers: int
    qr_shown: bool
    reachable: bool
    verdict: Reason | None
    outcome: Outcome | None
    version: int
    notice: Notice | None
    refusals: int
    stored_jid: str | None = field(repr=False)
    stored_fingerprint: bytes | None = field(repr=False)
    left_over: bool

    @property
    def scanned(self) -> bool:
        """Whether a phone has scanned. WhatsApp then knows the device, so it must log in or be removed."""
        return self.since_scan is not None or self.stored_jid is not None

    @property
    def may_scan_again(self) -> bool:
        """Whether a refusal is answered with another QR."""
        # With the first QR, the workflow opens the scan's window. This copy of the attempt may not know that yet.
        opening = self.phase is Phase.QR and self.qr_shown
        return self.refusals < MOST_REFUSALS and (opening or self.remaining >= SCAN_AGAIN_SECONDS)


@dataclass(frozen=True)
class Again:
    """Enter the wait of ``phase`` again after ``pause`` seconds; ``seconds`` of its window are left then."""

    phase: Phase
    seconds: int
    pause: int = 0

    @property
    def heartbeat(self) -> int:
        """For how many seconds the linker may be silent. Step Functions demands fewer seconds than the wait has."""
        return min(HEARTBEAT_SECONDS, self.seconds - 1)


def next_step(attempt: Attempt, at_once: bool = False) -> Again | Reason:
    """Decide what follows a wait that did not end well.

    A verdict ends the attempt. So does the loss of ``MAX_LINKERS`` linkers, and the end of the window. Otherwise the
    workflow enters the wait again.

    Parameters
    ----------
    attempt : Attempt
        A live attempt.
    at_once : bool
        Whether the wait failed at once, because open_phase failed or could not be called. The workflow then enters it
        again only after a pause.

    Returns
    -------
    Again or Reason
        The wait to enter again, or the reason why the attempt ends.
    """
    if attempt.verdict:
        return end_reason(attempt)
    if attempt.linkers >= MAX_LINKERS and not attempt.alive:
        return Reason.LINKER_FAILED
    pause = RETRY_SECONDS if at_once else 0
    if attempt.remaining > 0:
        pause = min(pause, int(attempt.remaining))
        return Again(attempt.phase, max(2, math.ceil(attempt.remaining - pause)), pause)
    if attempt.phase is Phase.QR and attempt.qr_shown and attempt.alive:
        return Again(attempt.phase, HANDOVER_SECONDS - pause, pause)
    return timeout_reason(attempt)


def end_reason(attempt: Attempt) -> Reason:
    """Return why an attempt ends when no wait follows: the linker's verdict, or else the end of the window.

    A phone may scan just when the linker decides that nobody has scanned. The linker's verdict then does not count.
    """
    if attempt.verdict and not (attempt.verdict in _NOT_SCANNED and attempt.scanned):
        return attempt.verdict
    return timeout_reason(attempt)


def timeout_reason(attempt: Attempt) -> Reason:
    """Return why an attempt whose window is over has failed."""
    if not attempt.linkers:
        # No linker has taken the lease, so nobody has asked WhatsApp.
        return Reason.LINKER_FAILED if attempt.task_token else Reason.INTERNAL
    if not attempt.reachable:
        return Reason.WHATSAPP_UNREACHABLE
    if attempt.scanned:
        return Reason.LINKER_FAILED
    if attempt.notice:
        return Reason.SCAN_NOT_REPEATED
    return Reason.QR_TIMEOUT if attempt.phase is Phase.QR else Reason.SCAN_TIMEOUT
