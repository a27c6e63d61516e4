"""What is counted on the way from a click to a linked phone.

Each count follows a statement that has changed the database and can do so once only, so that a click, a linker or an
end is counted once, whoever brings it about. Whoever dies between the two counts too little, never twice. The attempts
of a user who is deleted are gone with their end.
"""

from whatsapp_pairing.observability import count, duration
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.results import Outcome, Result
from whatsapp_pairing.session import Attempt


def started() -> None:
    """Count a click that has started an attempt."""
    count("PairingStarted")


def first_qr(attempt: Attempt) -> None:
    """Note how long the person has waited for something to scan."""
    duration("TimeToQr", attempt.age)


def linker_replaced() -> None:
    """Count a linker that takes over from one that was lost."""
    count("LinkerReplaced")


def connected(attempt: Attempt) -> None:
    """Count a good end; how long it took from the click, the person's part in it, and from the scan, all ours."""
    duration("TimeToConnected", attempt.age)
    if attempt.since_scan is not None:
        duration("ScanToConnected", attempt.since_scan)
    ended(Result.CONNECTED, attempt.legs)


def ended(outcome: Outcome, legs: int) -> None:
    """Count the end of an attempt, in all and by its outcome, and the linkers that it took."""
    count("PairingEnded")
    count("PairingEnded", outcome=outcome)
    count("LegsPerPairing", legs)


def row_behind() -> None:
    """Count a user's row that could not be written."""
    count("SessionRowBehind")


def probed(seconds: float, failure: Reason | None) -> None:
    """Count a probe, and how long its QR took or why there was none."""
    count("ProbeQr", 0 if failure else 1)
    if failure:
        count("ProbeFailed", reason=failure)
    else:
        duration("ProbeTimeToQr", seconds)
