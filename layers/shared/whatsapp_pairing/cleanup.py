"""Cleanup ends overdue attempts, and finishes the work of calls that have died.

It may run at any time, and twice at once, because it never changes a live attempt that is not overdue.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final
from uuid import UUID

from whatsapp_pairing.keeper.sweeps import DeviceSweeps
from whatsapp_pairing.pairing.ending import end_left_over
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.pairing.sweeps import AttemptSweeps
from whatsapp_pairing.runtime import limits, metrics
from whatsapp_pairing.runtime.batches import Batches
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.session.sweeps import SessionSweeps

BATCH = 200

# One run starts at most this many unlinks. All of them run at once, and each opens a WhatsApp socket and connections to
# the database.
UNLINKS: Final = 50

# Attempts that ended this many days ago are deleted.
ATTEMPT_DAYS: Final = 90

_COUNTS = AttemptSweeps.counts | DeviceSweeps.counts | SessionSweeps.counts
_COUNT = "SELECT " + ", ".join(f"({count}) AS {name}" for name, count in _COUNTS.items())


@dataclass(frozen=True)
class Swept:
    """How much each sweep has done, or what a dry run has counted. ``left`` is how much a run could not do."""

    attempts_ended: int = 0
    tokens_cleared: int = 0
    answers_deleted: int = 0
    attempts_deleted: int = 0
    orphans_given_up: int = 0
    strays_given_up: int = 0
    keys_given_up: int = 0
    bindings_forgotten: int = 0
    unlinks_started: int = 0
    contacts_forgotten: int = 0
    counters_taken: int = 0
    rows_written: int = 0
    left: int = 0

    def as_dict(self) -> dict[str, int]:
        """Return the counts by name, for the log."""
        return asdict(self)


class Sweeps(AttemptSweeps, DeviceSweeps, SessionSweeps):
    """The sweeps of all features."""

    def count(self, days: int) -> dict[str, int]:
        """Return how much each sweep would find now, by the names of ``Swept``; changes nothing."""
        row = self._one(_COUNT, days=days)
        assert row is not None
        return row


class Cleaning:
    """One run of cleanup.

    It goes on batch by batch, each a short transaction, until nothing is left or the time is up. The next run finds the
    rest. The run counts what it leaves. A row that another transaction has locked is left, and is not an error.

    Parameters
    ----------
    seconds_left : callable
        For how many seconds this run may go on.
    batch : int
        Rows in one transaction.
    attempt_days : int
        For how many days ended attempts are kept.
    """

    def __init__(
        self,
        services: Services,
        sweeps: Sweeps,
        seconds_left: Callable[[], float],
        batch: int = BATCH,
        attempt_days: int = ATTEMPT_DAYS,
    ) -> None:
        self._services = services
        self._sweeps = sweeps
        self._batches = Batches(batch, seconds_left)
        self._attempt_days = attempt_days
        self._given_up: list[UUID] = []

    def run(self) -> Swept:
        """Run the sweeps in the order of ``Swept``. The session rows come last, because each write may wait for a lock.

        Raises
        ------
        Exception
            The first failure other than a lock. The run has done everything else.
        """
        with limits.brief_locks():
            swept = replace(self._run(), left=self._batches.left)
        metrics.left(swept.left)
        if self._batches.failure is not None:
            logger.warning("cleaned in part", extra=swept.as_dict())
            raise self._batches.failure
        return swept

    def _run(self) -> Swept:
        sweeps, batches = self._sweeps, self._batches
        swept = Swept(
            attempts_ended=batches.each(sweeps.overdue_attempts, self._end_overdue, together=False),
            tokens_cleared=batches.all(sweeps.clear_tokens),
            answers_deleted=batches.all(sweeps.delete_answers),
            attempts_deleted=batches.all(lambda size: sweeps.delete_attempts(size, self._attempt_days)),
            orphans_given_up=batches.all(sweeps.give_up_orphans),
            strays_given_up=batches.all(sweeps.give_up_strays),
            keys_given_up=batches.all(sweeps.give_up_unexplained),
            bindings_forgotten=batches.all(sweeps.forget_never_scanned),
            unlinks_started=batches.guarded(self._start_unlinks) or 0,
            contacts_forgotten=batches.all(sweeps.forget_contacts),
            counters_taken=batches.each(sweeps.counted_users, sweeps.take_counters),
        )
        if self._services.session_rows.written:
            batches.each(sweeps.users_with_wrong_rows, sweeps.mark_wrong_rows)
            swept = replace(swept, rows_written=batches.guarded(self._write_rows) or 0)
        return swept

    def _end_overdue(self, attempt_ids: list[UUID]) -> int:
        (attempt_id,) = attempt_ids
        attempt = self._services.attempts.get(attempt_id)
        if attempt is None or attempt.outcome:
            return 0
        devices = end_left_over(attempt, self._services)
        if devices is None:
            return 0
        self._given_up += devices
        return 1

    def _start_unlinks(self) -> int:
        # A later run starts the unlinks beyond `UNLINKS`.
        given_up = self._given_up[:UNLINKS]
        started = self._call_unlinks(given_up)
        if started or not given_up:
            size = UNLINKS - len(given_up)
            due = self._sweeps.start_unlinks(size)
            started += self._call_unlinks(due)
            if len(due) < size:
                self._batches.left += self._sweeps.unlinks_due()
        return started

    def _call_unlinks(self, devices: list[UUID]) -> int:
        failed = self._services.workflow.call_unlinks(devices) if devices else 0
        self._batches.left += failed
        return len(devices) - failed

    def _write_rows(self) -> int:
        written = 0
        while self._batches.in_time():
            behind = self._sweeps.rows_behind(self._batches.size)
            for one in behind:
                if not self._batches.in_time():
                    return written
                written += self._services.session_rows.write(one.user_id, one.version)
            if len(behind) < self._batches.size:
                self._batches.left += self._sweeps.rows_due()
                break
        return written


def count_only(sweeps: Sweeps, attempt_days: int = ATTEMPT_DAYS) -> Swept:
    """Return what there is to clean now, and change nothing."""
    return Swept(**sweeps.count(attempt_days))
