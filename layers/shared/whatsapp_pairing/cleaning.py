"""What the schedule sweeps up. Safe to run twice at once, and at any time: it never touches a live attempt."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

from whatsapp_pairing.pairing import end_overdue
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.sweeps import Sweeps
from whatsapp_pairing.workflow import Workflow

BATCH = 200

# All of them start at once, and each is an invocation with a WhatsApp socket and connections to the database.
UNLINKS: Final = 50

# What must be left when the last batch begins: for that batch, and for starting the unlinks.
RESERVE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Swept:
    """How much of each was found, or in a dry run would be."""

    attempts_ended: int = 0
    rows_cleared: int = 0
    orphans_given_up: int = 0
    bindings_forgotten: int = 0
    unlinks_started: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name, for the log."""
        return asdict(self)

    def __add__(self, other: "Swept") -> "Swept":
        ours, theirs = self.as_dict(), other.as_dict()
        return Swept(**{name: count + theirs[name] for name, count in ours.items()})


def clean(
    attempts: Attempts, sweeps: Sweeps, workflow: Workflow, seconds_left: Callable[[], float], batch: int = BATCH
) -> Swept:
    """End attempts whose workflow is gone, clear stuck rows, unlink devices that no session owns.

    Goes on batch by batch, each a short transaction, until nothing is left or the time is up; the next run finds the
    rest.

    Parameters
    ----------
    seconds_left : callable
        How long this run may go on.
    """
    swept, given_up = Swept(), list[UUID]()
    more = True
    while more and seconds_left() > RESERVE_SECONDS:
        found = Swept(
            _end_overdue(attempts, sweeps, batch, seconds_left, given_up),
            sweeps.clear_stuck_rows(batch),
            sweeps.give_up_orphans(batch),
            sweeps.forget_never_scanned(batch),
        )
        more = batch in found.as_dict().values()
        swept += found
    # What is over the bound is found by the next run.
    unlinks = given_up[:UNLINKS]
    unlinks += sweeps.start_unlinks(UNLINKS - len(unlinks))
    workflow.call_unlinks(unlinks)
    return swept + Swept(unlinks_started=len(unlinks))


def look(sweeps: Sweeps) -> Swept:
    """Return what there is to clean now, and change nothing."""
    return Swept(**sweeps.count())


def _end_overdue(
    attempts: Attempts, sweeps: Sweeps, batch: int, seconds_left: Callable[[], float], given_up: list[UUID]
) -> int:
    ended = 0
    for attempt in sweeps.overdue_attempts(batch):
        if seconds_left() <= RESERVE_SECONDS:
            break
        devices = end_overdue(attempt, attempts)
        if devices is not None:
            ended += 1
            given_up += devices
    return ended
