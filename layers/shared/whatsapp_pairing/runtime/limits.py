"""Time limits: one for all calls of an invocation together, and one for each wait for a lock.

A handler sets the limit of its invocation, and cleanup sets the limit for locks. Each call reads these limits from a
context variable, so no function passes them on. Linker, unlink and probe set no limit. Each of their calls has only the
limit of its driver.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
Handler = Callable[[Any, Any], T]

# The calls end this long before the function's Timeout. The rest is for the answer.
ANSWER_SECONDS = 1.0

# A statement of cleanup waits this long for a lock. An ordinary transaction of ours is over by then. A row that is
# locked for longer is left to the next run. Otherwise hundreds of such rows would take all the time of the run.
_BRIEF_LOCK_MILLISECONDS = 50

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)
_lock_milliseconds: ContextVar[int | None] = ContextVar("lock_milliseconds", default=None)


class OutOfTimeError(Exception):
    """A call has not ended within the time that was left for it."""


def answers_in_time(handler: Handler[T]) -> Handler[T]:
    """Let all calls of the handler together take what is left of the function's Timeout, less ``ANSWER_SECONDS``."""

    def limited(event: Any, context: Any) -> T:
        left = context.get_remaining_time_in_millis() / 1000
        # An invocation that begins has time left. If no time is left already, the instance's clock is wrong. Then set
        # no limit: each call still has the limit of its driver.
        before = _ends_at.set(time.monotonic() + left - ANSWER_SECONDS if left > 0 else math.inf)
        try:
            return handler(event, context)
        finally:
            _ends_at.reset(before)

    return limited


def seconds_left() -> float:
    """Return how many seconds the calls of this invocation may still take; infinite when no handler has set a limit."""
    return _ends_at.get() - time.monotonic()


def in_time(call: Callable[[], T], most: float) -> T:
    """Make a call, and wait for ``most`` seconds or for the time that is left, whichever is shorter.

    The driver's own timeout is not strict: a socket's timeout begins anew for each address and each read, and does not
    cover the look-up of a name. So the call runs in a thread. When the time is over, the thread is left running. If no
    limit is set, the call runs without a thread.

    Raises
    ------
    OutOfTimeError
        The time is over. The call may still take effect.
    """
    left = seconds_left()
    if left == math.inf:
        return call()
    if left <= 0:
        raise OutOfTimeError
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(call())
        except BaseException as error:
            failed.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(min(left, most))
    if done:
        return done[0]
    raise failed[0] if failed else OutOfTimeError


@contextmanager
def brief_locks() -> Iterator[None]:
    """Let each statement within the block wait only briefly for a lock (``_BRIEF_LOCK_MILLISECONDS``)."""
    before = _lock_milliseconds.set(_BRIEF_LOCK_MILLISECONDS)
    try:
        yield
    finally:
        _lock_milliseconds.reset(before)


def lock_milliseconds() -> int | None:
    """Return for how many milliseconds a statement may wait for a lock; None: as long as its role may."""
    return _lock_milliseconds.get()
