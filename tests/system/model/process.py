"""A use case of the product at work, stopped before everything that it does outside of itself.

Its thread and the test's never run at the same time: one hands over to the other. So a test decides what happens
between any two statements, and a failure is found again by the same decisions.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from typing import Any
from uuid import UUID


class Killed(BaseException):
    """The process is gone; like ``kill -9`` it passes every ``except Exception``."""


class Order(Enum):
    """What becomes of the call that a process is about to make."""

    DO = "do"
    REFUSE = "refuse"  # it fails and has done nothing, and so does its repeat
    LOSE = "lose"  # it is done, the answer is lost, and its repeat fails
    REPEAT = "repeat"  # it is done and the answer is lost, so it is made again
    LATE = "late"  # it is made again, and the first one reaches Postgres some time later
    HOLD = "hold"  # it is done while the users hold locks on their rows
    DIE = "die"  # it is done, and the process is killed before it knows

    def __repr__(self) -> str:
        return self.name


class Process:
    """One invocation of a function.

    Parameters
    ----------
    name
        For the reader of a failure.
    work
        Gets the process and does its job, calling ``stop`` on the way.
    dies_at
        When Lambda kills it.

    Attributes
    ----------
    due : float
        It waits for this moment; 0 while it only waits for its turn.
    inbox : list
        What it would take before that moment.
    doing : str
        The call that it has stopped before.
    writes_row_of : UUID or None
        The user, when this call writes a user's row.
    frozen : bool
        It does not get its turn, whatever waits for it.
    attempt_id, device_id : UUID or None
        What it is about.
    lease, has_lease : UUID or None, bool
        The lease that it has asked for, and whether it has got it.
    """

    def __init__(
        self, name: str, work: Callable[[Process], Any], dies_at: float, ended: Callable[[Process], None]
    ) -> None:
        self.name, self.dies_at = name, dies_at
        self.due = 0.0
        self.doing = ""
        self.writes_row_of: UUID | None = None
        self.frozen = False
        self.inbox: list[Any] = []
        self.attempt_id: UUID | None = None
        self.device_id: UUID | None = None
        self.lease: UUID | None = None
        self.has_lease = False
        self.over = False
        self.result: Any = None
        self.error: BaseException | None = None
        self._order: Order | None = Order.DO
        self._ended = ended
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._work = work

    def __repr__(self) -> str:
        return f"<{self.name} before {self.doing}>" if self.doing and not self.over else f"<{self.name}>"

    def ready(self, now: float) -> bool:
        """Whether it has something to do."""
        return not self.over and not self.frozen and (self.due <= now or bool(self.inbox))

    def resume(self, order: Order = Order.DO) -> None:
        """Let it make the call that it has stopped before, and go on to the next."""
        self._resume(order)

    def kill(self) -> None:
        """End it where it stands."""
        if self._thread is None:
            self._finish(Killed())
        elif not self.over:
            self._resume(None)

    def stop(self, due: float = 0.0) -> Order:
        """Hand over to the test; called by the process itself."""
        self.due = due
        self._stopped.release()
        self._go.acquire()
        self.due = 0.0
        if self._order is None:
            raise Killed
        return self._order

    def _resume(self, order: Order | None) -> None:
        assert not self.over
        self._order = order
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, daemon=True)
            self._thread.start()
        else:
            self._go.release()
        self._stopped.acquire()
        if self.over:
            self._thread.join()
            self._ended(self)

    def _main(self) -> None:
        try:
            self.result = self._work(self)
        except BaseException as error:
            self.error = error
        self.over = True
        self._stopped.release()

    def _finish(self, error: BaseException) -> None:
        self.over, self.error = True, error
        self._ended(self)
