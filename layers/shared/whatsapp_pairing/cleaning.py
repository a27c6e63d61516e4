"""What the schedule sweeps up. Safe to run twice at once, and at any time: it never touches a live attempt."""

from dataclasses import asdict, dataclass

from whatsapp_pairing.pairing import end
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.sweeps import Sweeps
from whatsapp_pairing.session import timeout_reason
from whatsapp_pairing.workflow import Workflow

BATCH = 200


@dataclass(frozen=True)
class Swept:
    """How much of each was found; a full batch means that there is more for the next run."""

    attempts_ended: int
    rows_cleared: int
    orphans_given_up: int
    bindings_forgotten: int
    unlinks_started: int

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name, for the log."""
        return asdict(self)


def clean(attempts: Attempts, sweeps: Sweeps, workflow: Workflow, batch: int = BATCH) -> Swept:
    """End attempts whose workflow is gone, clear stuck rows, unlink devices that no session owns."""
    ended = 0
    for attempt in sweeps.overdue_attempts(batch):
        devices = end(attempt, timeout_reason(attempt), attempts)
        if devices is not None:
            ended += 1
            workflow.call_unlinks(devices)
    rows = sweeps.clear_stuck_rows(batch)
    orphans = sweeps.give_up_orphans(batch)
    forgotten = sweeps.forget_never_scanned(batch)
    to_unlink = sweeps.devices_to_unlink(batch)
    workflow.call_unlinks(to_unlink)
    return Swept(ended, rows, orphans, forgotten, len(to_unlink))
