"""A lease: the right of one process to change an attempt or a device, and to run an engine for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

from whatsapp_pairing.core.engine import EngineRun
from whatsapp_pairing.core.errors import DatabaseUnavailable, SecretUnavailable
from whatsapp_pairing.runtime.observability import logger

T = TypeVar("T")

# The holder renews its lease every RENEW_SECONDS. The lease of a dead linker is over before the workflow misses the
# heartbeat (HEARTBEAT_SECONDS in pairing/attempt.py). Otherwise the next linker could not take the lease.
RENEW_SECONDS = 2.5
LEASE_SECONDS = 8.0

# An engine ends this long before the lease. So its sockets and database connections are closed when another process may
# take the lease.
MARGIN_SECONDS = 0.5


class LeaseLost(Exception):
    """The lease is over: another process may have it, its attempt has ended, or Postgres was away for too long."""


class Lease:
    """A lease that its holder has taken, and renews while it works.

    Parameters
    ----------
    lease_id : UUID
        The lease's name in every statement of its holder.
    asked_at : float
        The moment before the statement that took the lease, by ``clock``. The time is counted from there, so the lease
        ends for its holder before it ends in the database.
    clock, sleep : callable
        Seconds, monotonic.

    Attributes
    ----------
    renew_at : float
        When the lease is to be renewed, by ``clock``.
    engine_ends_at : float
        When an engine under this lease must have ended, by ``clock``.
    """

    def __init__(
        self, lease_id: UUID, asked_at: float, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self.id = lease_id
        self._clock = clock
        self._sleep = sleep
        self._run: EngineRun | None = None
        self._begin(asked_at)

    @contextmanager
    def running(self, run: EngineRun) -> Iterator[None]:
        """Let an engine live for as long as the lease. Without a renewal, the engine ends by itself."""
        self._run = run
        try:
            yield
        finally:
            self._run = None

    @property
    def due(self) -> bool:
        """Whether it is time to renew the lease."""
        return self._clock() >= self.renew_at

    def renew(self, work: Callable[[], T | None]) -> T:
        """Renew the lease now, and return what ``work`` has answered.

        Parameters
        ----------
        work : callable
            Renews the lease in the database. It answers None or false when the lease is lost.

        Raises
        ------
        LeaseLost
            ``work`` has answered None or false, or Postgres was away for too long.
        """
        asked_at = self._clock()
        renewed = self.ask(work)
        if not renewed:
            raise LeaseLost
        self._begin(asked_at)
        return renewed

    def ask(self, work: Callable[[], T]) -> T:
        """Do ``work``. While Postgres is away, try again until another process may have taken the lease.

        Raises
        ------
        LeaseLost
            Postgres was away for too long.
        """
        while True:
            try:
                return work()
            except (DatabaseUnavailable, SecretUnavailable):
                if self._clock() >= self._ends_at:
                    raise LeaseLost from None
                logger.warning("the database or its secret is away; trying again", exc_info=True)
                self._sleep(0.5)

    def _begin(self, asked_at: float) -> None:
        self._ends_at = asked_at + LEASE_SECONDS
        self.renew_at = asked_at + RENEW_SECONDS
        self.engine_ends_at = self._ends_at - MARGIN_SECONDS
        if self._run:
            self._run.live_until(self.engine_ends_at)
