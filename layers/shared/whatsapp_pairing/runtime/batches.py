"""Repeats the sweeps of one run of cleanup, batch by batch, and goes on after rows that cannot be changed."""

from collections.abc import Callable
from typing import Final, TypeVar
from uuid import UUID

from whatsapp_pairing.core.errors import DatabaseBusy, DatabaseRefused, Unavailable
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.sweep import Batch

T = TypeVar("T")
# Finds at most this many rows, without those that an earlier batch could not change.
Find = Callable[[int, list[UUID]], list[UUID]]
# Changes these rows, and returns how many it has changed.
Change = Callable[[list[UUID]], int]

# The SQLSTATE of a violated foreign key. In a sweep it is always the key that refers to users.
_USER_GONE: Final = "23503"

# A batch begins only while more time than this is left. The last batch and the start of the unlinks need the rest.
RESERVE_SECONDS: Final = 30.0

# A sweep ends when it could not change this many rows, because each may have waited for a lock until its limit.
MOST_LEFT: Final = 500


class Batches:
    """The batches of one run. When a row cannot be changed, its sweep and the other sweeps go on.

    Parameters
    ----------
    size : int
        Rows in one transaction.
    seconds_left : callable
        For how many seconds the run may go on.

    Attributes
    ----------
    left : int
        How many rows the run has left to the next one.
    failure : Exception or None
        The first failure other than a lock.
    """

    def __init__(self, size: int, seconds_left: Callable[[], float]) -> None:
        self.size = size
        self._seconds_left = seconds_left
        self.left = 0
        self.failure: Exception | None = None

    def all(self, sweep: Callable[[int], Batch]) -> int:
        """Repeat a sweep whose batches pass over locked rows; return how many rows it has changed."""
        total, batch = 0, Batch(self.size)
        while batch.done == self.size and self.in_time():
            batch = self.guarded(lambda: sweep(self.size)) or Batch(0)
            total += batch.done
            self.left += batch.left
        return total

    def each(self, find: Find, change: Change, together: bool = True) -> int:
        """Repeat a sweep whose statement may wait for a lock. If a batch fails, change its rows one by one."""
        changed: list[int] = []
        self.guarded(lambda: self._in_batches(find, change, together, changed))
        return sum(changed)

    def guarded(self, work: Callable[[], T], row: UUID | None = None) -> T | None:
        """Do ``work`` and return its result. If it fails, count it in ``left`` and return None.

        Parameters
        ----------
        row : UUID, optional
            The one attempt or user that ``work`` is about. With a row, the failure is raised when Postgres is away,
            because each further row would wait for Postgres in vain.
        """
        about = {"row": str(row)} if row else {}
        try:
            return work()
        except DatabaseBusy as error:
            logger.warning("another transaction holds a lock; left to the next run", extra={"why": str(error)} | about)
        except Exception as error:
            if isinstance(error, DatabaseRefused) and error.sqlstate == _USER_GONE:
                return None  # The user was deleted in this moment, so nothing is left to do.
            if row and isinstance(error, Unavailable):
                raise
            logger.exception("a sweep failed", extra=about)
            self.failure = self.failure or error
        self.left += 1
        return None

    def in_time(self) -> bool:
        """Return whether another batch may begin."""
        return self._seconds_left() > RESERVE_SECONDS

    def _in_batches(self, find: Find, change: Change, together: bool, changed: list[int]) -> None:
        without: list[UUID] = []
        found = self.size
        while found == self.size and len(without) < MOST_LEFT and self.in_time():
            ids = find(self.size, without)
            found = len(ids)
            if not (together and self._changed_together(ids, change, changed)):
                self._one_by_one(ids, change, changed, without)

    def _changed_together(self, ids: list[UUID], change: Change, changed: list[int]) -> bool:
        try:
            changed.append(change(ids) if ids else 0)
        except (DatabaseBusy, DatabaseRefused):
            return False
        return changed[-1] == len(ids)

    def _one_by_one(self, ids: list[UUID], change: Change, changed: list[int], without: list[UUID]) -> None:
        for one in ids:
            if len(without) >= MOST_LEFT or not self.in_time():
                return
            changed.append(self.guarded(lambda: change([one]), one) or 0)  # noqa: B023  called at once
            if not changed[-1]:
                without.append(one)
