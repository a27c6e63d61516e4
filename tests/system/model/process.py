"""A running use case of the product, which stops before each call to Postgres, AWS or an engine.

Its thread and the thread of the test never run at the same time: one hands over to the other. Therefore a test decides
what happens between any two statements, and the same decisions lead to the same failure again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from typing import Any
from uuid import UUID


class Killed(BaseException):
    """The process was killed. Like ``kill -9``, no ``except Exception`` stops it."""


class Order(Enum):
    """What happens to the next call of a process."""

    DO = "do"
    REFUSE = "refuse"  # the call fails without an effect, and so does its repeat
    LOSE = "lose"  # the call has its effect, the answer is lost, and the repeat fails
    REPEAT = "repeat"  # the call has its effect, the answer is lost, and the product repeats the call
    LATE = "late"  # the product repeats the call, and the first one reaches Postgres later
    HOLD = "hold"  # the call runs while the users lock their session rows
    DIE = "die"  # the call has its effect, and the process is killed before it gets the answer

    def __repr__(self) -> str:
        return self.name


class Process:
    """One invocation of a function.

    Parameters
    ----------
    name
        Shown when a test fails.
    work
        The use case. It gets the process, and calls ``stop`` before each of its calls.
    dies_at
        When Lambda kills the process.

    Attributes
    ----------
    due : float
        The moment for which the process waits; 0 while it only waits for its turn.
    inbox : list
        The events that end the wait before that moment.
    doing : str
        The call before which the process has stopped.
    writes_row_of : UUID or None
        The user whose session row this call writes.
    frozen : bool
        A frozen process gets no turn.
    attempt_id, device_id : UUID or None
        The attempt or device that the function was invoked for.
    lease, has_lease : UUID or None, bool
        The lease that the process has asked for, and whether it got the lease.
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
        """Whether the process can go on."""
        return not self.over and not self.frozen and (self.due <= now or bool(self.inbox))

    def resume(self, order: Order = Order.DO) -> None:
        """Let the process make its call and run until the next one."""
        self._resume(order)

    def kill(self) -> None:
        """Kill the process before its next call."""
        if self._thread is None:
            self._finish(Killed())
        elif not self.over:
            self._resume(None)

    def stop(self, due: float = 0.0) -> Order:
        """Hand over to the test. The process itself calls this."""
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
