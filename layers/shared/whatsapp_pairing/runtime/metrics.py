"""The metrics of a pairing, from the click to the linked phone, and those of cleanup, unlink and probe.

Each count of a pairing follows a database call that makes its change only once. So a click, a replaced linker or an end
is counted once, whichever function makes the change. If the process dies between the call and the metric, the metric is
too low. It never counts an end twice. The end of an attempt whose user was deleted is not counted.
"""

from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.core.results import Outcome, Result
from whatsapp_pairing.runtime.observability import count, duration


def started() -> None:
    """Count a click that has started an attempt."""
    count("PairingStarted")


def first_qr(seconds: float) -> None:
    """Note the time from the click to the first QR."""
    duration("TimeToQr", seconds)


def linker_replaced() -> None:
    """Count a linker that replaces a lost linker."""
    count("LinkerReplaced")


def connected(seconds: float, since_scan: float | None, linkers: int) -> None:
    """Count a good end, and note its time from the click and from the scan. The person's own time is included."""
    duration("TimeToConnected", seconds)
    if since_scan is not None:
        duration("ScanToConnected", since_scan)
    ended(Result.CONNECTED, linkers)


def ended(outcome: Outcome, linkers: int) -> None:
    """Count the end of an attempt, in all and by its outcome, and note how many linkers it took."""
    count("PairingEnded")
    count("PairingEnded", outcome=outcome)
    count("LinkersPerPairing", linkers)


def row_behind() -> None:
    """Count a session row that could not be written."""
    count("SessionRowBehind")


def left(number: int) -> None:
    """Count the rows that a run of cleanup has left to the next run. A zero is written too."""
    count("CleanupLeft", number)


def engine_database_failed() -> None:
    """Count a pairing that ends because the engine's database fails, or an unlink whose database fault is permanent."""
    count("EngineStoreFailed")


def probed(seconds: float, failure: Reason | None) -> None:
    """Count a probe, and note the time to its QR or the reason why none came."""
    count("ProbeQr", 0 if failure else 1)
    if failure:
        count("ProbeFailed", reason=failure)
    else:
        duration("ProbeTimeToQr", seconds)
