"""The instances of one function. A call takes an idle instance, or the pool starts a new one."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from infra.local.errors import TooManyRequests
from infra.local.functions.instances import Instance
from infra.local.functions.invocation import Answer, Invocation, failure
from infra.template.stack_definition import Function

# The time limit for the code outside the handler. Lambda allows ten seconds. Here it is more, because a function must
# not fail on a busy machine.
INIT_SECONDS = 30.0

IDLE_SECONDS = 300.0

# Lambda's limit for an account. Calls above it are refused. Other calls may have to wait for this machine.
MAX_RUNNING = 1000

InstanceFactory = Callable[[Callable[[Instance], None], Callable[[Instance], None]], Instance]
"""Makes an instance from its two callbacks, `on_idle` and `on_end`."""


class FunctionPool:
    """Runs invocations of one function.

    A call takes an idle instance. If there is none, the pool starts one, and the call takes the first instance that
    becomes free: the new one or an older one. If no call waits any more, the pool drops the starts that have not begun.
    So each long call gets an instance of its own, and many short calls share a few instances.

    Parameters
    ----------
    function
        The function.
    make
        Makes an instance that is not started yet.
    start_slots
        Limits how many processes of all functions start at the same time, because each start keeps a core busy.
    """

    def __init__(self, function: Function, make: InstanceFactory, start_slots: asyncio.Semaphore) -> None:
        self.function = function
        self.instances: list[Instance] = []
        self._make = make
        self._start_slots = start_slots
        self._idle: list[Instance] = []
        self._waiting: deque[Invocation] = deque()
        self._starts: set[asyncio.Task[None]] = set()
        self._running = 0
        self._closed = False

    async def run(self, invocation: Invocation) -> Answer:
        """Run one invocation.

        Raises
        ------
        TooManyRequests
            The function's reserved concurrency is used up.
        """
        reserved = self.function.reserved_concurrency
        limit = MAX_RUNNING if reserved is None else reserved
        if self._closed or self._running >= limit:
            raise TooManyRequests("Rate Exceeded.")
        self._running += 1
        try:
            if self._idle:
                self._idle.pop().assign(invocation)
            else:
                self._waiting.append(invocation)
                self._start_missing()
            return await invocation.answer
        finally:
            self._running -= 1

    def retire_idle(self, older_than: float = IDLE_SECONDS) -> None:
        """End the instances that have been idle for this many seconds."""
        now = time.monotonic()
        for instance in [i for i in self._idle if now - i.idle_since >= older_than]:
            self._idle.remove(instance)
            instance.kill()

    async def close(self) -> None:
        """End every instance."""
        self._closed = True
        starts = list(self._starts)
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
        instances = list(self.instances)
        for instance in instances:
            instance.kill()
        await asyncio.gather(*(instance.wait_ended() for instance in instances))
        for invocation in self._waiting:
            invocation.fail("Runtime.ExitError", "the local system is stopping")

    def _start_missing(self) -> None:
        for _ in range(len(self._waiting) - len(self._starts)):
            start = asyncio.create_task(self._start_one())
            self._starts.add(start)
            start.add_done_callback(self._starts.discard)

    async def _start_one(self) -> None:
        async with self._start_slots:
            if not self._waiting:
                return
            settled = asyncio.Event()

            def idle(instance: Instance) -> None:
                settled.set()
                self._on_idle(instance)

            def end(instance: Instance) -> None:
                settled.set()
                self._on_end(instance)

            instance = self._make(idle, end)
            self.instances.append(instance)
            try:
                await instance.start()
                async with asyncio.timeout(INIT_SECONDS):
                    await settled.wait()
            except OSError as error:
                self.instances.remove(instance)
                self._fail_first(failure("Runtime.ExitError", f"cannot start: {error}"))
            except TimeoutError:
                instance.init_failure = failure(
                    "Sandbox.Timedout", f"Initialisation timed out after {INIT_SECONDS:.2f} seconds"
                )
                instance.kill()
                await instance.wait_ended()

    def _on_idle(self, instance: Instance) -> None:
        if self._waiting:
            instance.assign(self._waiting.popleft())
        else:
            self._idle.append(instance)

    def _on_end(self, instance: Instance) -> None:
        self.instances.remove(instance)
        if instance in self._idle:
            self._idle.remove(instance)
        elif not instance.idle_since:  # it has ended before its first poll
            self._fail_first(
                instance.init_failure
                or failure("Runtime.ExitError", "Error: Runtime exited while the function was loading")
            )

    def _fail_first(self, answer: Answer) -> None:
        """Fail one waiting call, because one start has failed. The other calls have starts of their own."""
        if self._waiting:
            self._waiting.popleft().finish(answer)
