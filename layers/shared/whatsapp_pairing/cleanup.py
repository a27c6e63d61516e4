"""Cleanup: it ends overdue attempts, and finishes what calls that died have left.

Twice at once and at any time is safe: cleanup never changes a live attempt that is not overdue.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final, TypeVar
from uuid import UUID

from whatsapp_pairing import counting, limits
from whatsapp_pairing.errors import StoreBusy, StoreRefused, Unavailable
from whatsapp_pairing.observability import logger
from whatsapp_pairing.pairing.phases import end_left_over
from whatsapp_pairing.pairing.sweeps import Batch, Sweeps
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.rows import Rows
from whatsapp_pairing.workflow import Workflow

T = TypeVar("T")
# Returns at most so many rows, without those that could not be changed.
Find = Callable[[int, list[UUID]], list[UUID]]
# Changes these rows, and returns how many it has changed.
Change = Callable[[list[UUID]], int]

BATCH = 200

# One run starts at most this many unlinks. All of them run at once, and each opens a WhatsApp socket and connections to
# the database.
UNLINKS: Final = 50

# Attempts that ended so many days ago are deleted.
ATTEMPT_DAYS: Final = 90

# The SQLSTATE of a violated foreign key. In a sweep it is always the key that refers to users.
_USER_GONE: Final = "23503"

# No batch begins with less time left: the rest is for the last batch and for starting the unlinks.
RESERVE_SECONDS: Final = 30.0

# A sweep ends when it has left this many rows. Each of them may have taken as long as a statement waits for a lock.
MOST_LEFT: Final = 500


@dataclass(frozen=True)
class Swept:
    """How much each sweep has done, or what a dry run has counted; and how much a run could not do (``left``)."""

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


class Cleaning:
    """One run of cleanup.

    It goes on batch by batch, each a short transaction, until nothing is left or the time is up. The next run finds the
    rest. A row that cannot be changed stops neither its sweep nor the other sweeps. The run counts what it leaves. A
    row that another transaction holds is no error of the run.

    Parameters
    ----------
    seconds_left : callable
        How long this run may go on.
    batch : int
        Rows in one transaction.
    attempt_days : int
        For how many days ended attempts are kept.
    """

    def __init__(
        self,
        attempts: Attempts,
        sweeps: Sweeps,
        rows: Rows,
        workflow: Workflow,
        seconds_left: Callable[[], float],
        batch: int = BATCH,
        attempt_days: int = ATTEMPT_DAYS,
    ) -> None:
        self._attempts = attempts
        self._sweeps = sweeps
        self._rows = rows
        self._workflow = workflow
        self._seconds_left = seconds_left
        self._batch = batch
        self._attempt_days = attempt_days
        self._given_up: list[UUID] = []
        self._left = 0
        self._failure: Exception | None = None

    def run(self) -> Swept:
        """Run the sweeps in the order of ``Swept``. The users' rows come last, because each write may wait for a lock.

        Raises
        ------
        Exception
            The first failure that no lock explains. Everything else has been done.
        """
        with limits.brief_locks():
            swept = replace(self._run(), left=self._left)
        counting.left(swept.left)
        if self._failure is not None:
            logger.warning("cleaned in part", extra=swept.as_dict())
            raise self._failure
        return swept

    def _run(self) -> Swept:
        sweeps = self._sweeps
        swept = Swept(
            attempts_ended=self._each(sweeps.overdue_attempts, self._end_overdue, together=False),
            tokens_cleared=self._all(sweeps.clear_tokens),
            answers_deleted=self._all(sweeps.delete_answers),
            attempts_deleted=self._all(lambda limit: sweeps.delete_attempts(limit, self._attempt_days)),
            orphans_given_up=self._all(sweeps.give_up_orphans),
            strays_given_up=self._all(sweeps.give_up_strays),
            keys_given_up=self._all(sweeps.give_up_unexplained),
            bindings_forgotten=self._all(sweeps.forget_never_scanned),
            unlinks_started=self._guarded(self._start_unlinks) or 0,
            contacts_forgotten=self._all(sweeps.forget_contacts),
            counters_taken=self._each(sweeps.counted_users, sweeps.take_counters),
        )
        if self._rows.written:
            self._each(sweeps.users_with_wrong_rows, sweeps.mark_wrong_rows)
            swept = replace(swept, rows_written=self._guarded(self._write_rows) or 0)
        return swept

    def _all(self, sweep: Callable[[int], Batch]) -> int:
        """Repeat a sweep whose batches pass over locked rows."""
        total, batch = 0, Batch(self._batch)
        while batch.done == self._batch and self._in_time():
            batch = self._guarded(lambda: sweep(self._batch)) or Batch(0)
            total += batch.done
            self._left += batch.left
        return total

    def _each(self, find: Find, change: Change, together: bool = True) -> int:
        """Repeat a sweep whose statement may wait for a lock. Where a batch fails, change its rows one by one."""
        changed: list[int] = []
        self._guarded(lambda: self._in_batches(find, change, together, changed))
        return sum(changed)

    def _in_batches(self, find: Find, change: Change, together: bool, changed: list[int]) -> None:
        without: list[UUID] = []
        found = self._batch
        while found == self._batch and len(without) < MOST_LEFT and self._in_time():
            ids = find(self._batch, without)
            found = len(ids)
            if not (together and self._changed_together(ids, change, changed)):
                self._one_by_one(ids, change, changed, without)

    def _changed_together(self, ids: list[UUID], change: Change, changed: list[int]) -> bool:
        try:
            changed.append(change(ids) if ids else 0)
        except (StoreBusy, StoreRefused):
            return False
        return changed[-1] == len(ids)

    def _one_by_one(self, ids: list[UUID], change: Change, changed: list[int], without: list[UUID]) -> None:
        for one in ids:
            if len(without) >= MOST_LEFT or not self._in_time():
                return
            changed.append(self._guarded(lambda: change([one]), one) or 0)  # noqa: B023  called at once
            if not changed[-1]:
                without.append(one)

    def _guarded(self, work: Callable[[], T], row: UUID | None = None) -> T | None:
        """Do ``work``. When it fails, count what is left, keep the first failure that no lock explains, return None.

        Parameters
        ----------
        row : UUID, optional
            The one attempt or user that ``work`` is about. With a row, the failure is raised when Postgres is away,
            because each further row would wait for Postgres in vain.
        """
        about = {"row": str(row)} if row else {}
        try:
            return work()
        except StoreBusy as error:
            logger.warning("another transaction is in the way; left to the next run", extra={"why": str(error)} | about)
        except Exception as error:
            if isinstance(error, StoreRefused) and error.sqlstate == _USER_GONE:
                return None  # The user was deleted in this moment, and nothing is left to do.
            if row and isinstance(error, Unavailable):
                raise
            logger.exception("a sweep failed", extra=about)
            self._failure = self._failure or error
        self._left += 1
        return None

    def _in_time(self) -> bool:
        return self._seconds_left() > RESERVE_SECONDS

    def _end_overdue(self, attempt_ids: list[UUID]) -> int:
        (attempt_id,) = attempt_ids
        attempt = self._attempts.get(attempt_id)
        if attempt is None or attempt.outcome:
            return 0
        devices = end_left_over(attempt, self._attempts, self._rows)
        if devices is None:
            return 0
        self._given_up += devices
        return 1

    def _start_unlinks(self) -> int:
        # A later run starts the unlinks that are over the limit.
        given_up = self._given_up[:UNLINKS]
        started = self._call_unlinks(given_up)
        if started or not given_up:
            limit = UNLINKS - len(given_up)
            due = self._sweeps.start_unlinks(limit)
            started += self._call_unlinks(due)
            if len(due) < limit:
                self._left += self._sweeps.unlinks_due()
        return started

    def _call_unlinks(self, devices: list[UUID]) -> int:
        failed = self._workflow.call_unlinks(devices) if devices else 0
        self._left += failed
        return len(devices) - failed

    def _write_rows(self) -> int:
        written = 0
        while self._in_time():
            behind = self._sweeps.rows_behind(self._batch)
            for one in behind:
                if not self._in_time():
                    return written
                written += self._rows.write(one.user_id, one.version)
            if len(behind) < self._batch:
                self._left += self._sweeps.rows_due()
                break
        return written


def look(sweeps: Sweeps, attempt_days: int = ATTEMPT_DAYS) -> Swept:
    """Return what there is to clean now, and change nothing."""
    return Swept(**sweeps.count(attempt_days))
