"""Cleanup: it ends overdue attempts, and finishes what calls that died have left.

Twice at once and at any time is safe: cleanup never changes a live attempt that is not overdue.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final
from uuid import UUID

from whatsapp_pairing.errors import PairingError
from whatsapp_pairing.observability import logger
from whatsapp_pairing.pairing import end_overdue
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.rows import Rows
from whatsapp_pairing.repository.sweeps import Sweeps
from whatsapp_pairing.workflow import Workflow

BATCH = 200

# One run starts at most this many unlinks. All of them run at once, and each opens a WhatsApp socket and connections to
# the database.
UNLINKS: Final = 50

# No batch begins with less time left: the rest is for the last batch and for starting the unlinks.
RESERVE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Swept:
    """How much each sweep has done, or what a dry run has counted."""

    attempts_ended: int = 0
    tokens_cleared: int = 0
    answers_deleted: int = 0
    orphans_given_up: int = 0
    keys_given_up: int = 0
    bindings_forgotten: int = 0
    unlinks_started: int = 0
    contacts_forgotten: int = 0
    counters_taken: int = 0
    rows_written: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name, for the log."""
        return asdict(self)


class Cleaning:
    """One run of cleanup.

    It goes on batch by batch, each a short transaction, until nothing is left or the time is up. The next run finds the
    rest. A sweep that fails does not keep the others from their work.

    Parameters
    ----------
    seconds_left : callable
        How long this run may go on.
    batch : int
        Rows in one transaction.
    """

    def __init__(
        self,
        attempts: Attempts,
        sweeps: Sweeps,
        rows: Rows,
        workflow: Workflow,
        seconds_left: Callable[[], float],
        batch: int = BATCH,
    ) -> None:
        self._attempts = attempts
        self._sweeps = sweeps
        self._rows = rows
        self._workflow = workflow
        self._seconds_left = seconds_left
        self._batch = batch
        self._given_up: list[UUID] = []
        self._failure: PairingError | None = None

    def run(self) -> Swept:
        """Run the sweeps in the order of ``Swept``. The users' rows come last, because each write may wait for a lock.

        Raises
        ------
        PairingError
            A sweep failed; the others have done their work.
        """
        sweeps = self._sweeps
        swept = Swept(
            attempts_ended=self._all(self._end_overdue),
            tokens_cleared=self._all(sweeps.clear_tokens),
            answers_deleted=self._all(sweeps.delete_answers),
            orphans_given_up=self._all(sweeps.give_up_orphans),
            keys_given_up=self._all(sweeps.give_up_unexplained),
            bindings_forgotten=self._all(sweeps.forget_never_scanned),
            unlinks_started=self._once(self._start_unlinks),
            contacts_forgotten=self._all(sweeps.forget_contacts),
            counters_taken=self._all(sweeps.take_counters),
        )
        if self._rows.written:
            self._all(sweeps.mark_wrong_rows)
            swept = replace(swept, rows_written=self._all(self._write_rows))
        if self._failure is not None:
            logger.warning("cleaned in part", extra=swept.as_dict())
            raise self._failure
        return swept

    def _all(self, sweep: Callable[[int], int]) -> int:
        total = 0
        while self._in_time():
            found = self._once(lambda: sweep(self._batch))
            total += found
            if found < self._batch:
                break
        return total

    def _once(self, sweep: Callable[[], int]) -> int:
        try:
            return sweep()
        except PairingError as error:
            logger.exception("a sweep failed")
            self._failure = error
            return 0

    def _in_time(self) -> bool:
        return self._seconds_left() > RESERVE_SECONDS

    def _end_overdue(self, limit: int) -> int:
        ended = 0
        for attempt_id in self._sweeps.overdue_attempts(limit):
            attempt = self._attempts.get(attempt_id) if self._in_time() else None
            if attempt is None or attempt.outcome:
                continue
            devices = end_overdue(attempt, self._attempts, self._rows)
            if devices is not None:
                ended += 1
                self._given_up += devices
        return ended

    def _start_unlinks(self) -> int:
        # A later run starts the unlinks that are over the limit.
        unlinks = self._given_up[:UNLINKS]
        unlinks += self._sweeps.start_unlinks(UNLINKS - len(unlinks))
        self._workflow.call_unlinks(unlinks)
        return len(unlinks)

    def _write_rows(self, limit: int) -> int:
        written = 0
        for behind in self._sweeps.rows_behind(limit):
            if not self._in_time():
                break
            written += self._rows.write(behind.user_id, behind.version)
        return written


def look(sweeps: Sweeps) -> Swept:
    """Return what there is to clean now, and change nothing."""
    return Swept(**sweeps.count())
