"""Lambda's Invoke API: synchronous calls, and asynchronous calls with Lambda's retries."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Mapping

from infra.local.errors import FunctionNotFound, PayloadTooLarge, TooManyRequests, Withheld
from infra.local.functions.instances import Instance
from infra.local.functions.invocation import Answer, Invocation
from infra.local.functions.pool import FunctionPool
from infra.local.functions.processes import resident_megabytes
from infra.template.stack_definition import Function, function_name, qualifier

logger = logging.getLogger(__name__)

MAX_EVENT_BYTES = 6 * 1024 * 1024
MAX_ASYNC_EVENT_BYTES = 1024 * 1024

# Pauses before the retries. Lambda waits one minute, then two, which is too long for a developer.
RETRY_SECONDS = (1.0, 2.0)
THROTTLE_SECONDS = (0.2, 5.0)

MEMORY_CHECK_SECONDS = 1.0
RETIRE_SECONDS = 30.0


class Invoker:
    """Invokes the template's functions.

    Parameters
    ----------
    functions
        The functions, by name.
    make_pool
        Makes a function's pool.
    withheld
        The names of the functions that must not run.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        make_pool: Callable[[Function], FunctionPool],
        withheld: Collection[str] = (),
    ) -> None:
        self._withheld = withheld
        self.pools = {name: make_pool(function) for name, function in functions.items()}
        self._tasks: set[asyncio.Task[None]] = set()

    async def invoke(self, reference: str, payload: bytes) -> Answer:
        """Invoke and wait (``RequestResponse``).

        Raises
        ------
        InvocationError
            The function is unknown, withheld or throttled, or the event is too large.
        """
        pool = self._pool(reference)
        if pool.function.name in self._withheld:
            raise Withheld
        if len(payload) > MAX_EVENT_BYTES:
            raise PayloadTooLarge(f"{len(payload)} byte payload is too large for the RequestResponse invocation type")
        return await pool.run(_invocation(payload))

    def invoke_later(self, reference: str, payload: bytes) -> None:
        """Accept an event (``Event``). It is retried as the function's EventInvokeConfig says.

        Raises
        ------
        InvocationError
            The function is unknown, or the event is too large.
        """
        pool = self._pool(reference)
        if pool.function.name in self._withheld:
            logger.warning("an event for %s was dropped: %s", pool.function.short_name, Withheld())
            return
        if len(payload) > MAX_ASYNC_EVENT_BYTES:
            raise PayloadTooLarge(f"{len(payload)} byte payload is too large for the Event invocation type")
        self._spawn(self._deliver(pool, payload))

    def instances(self) -> list[Instance]:
        """Return every instance that has a process, by function and age."""
        pools = sorted(self.pools.values(), key=lambda pool: pool.function.short_name)
        return [instance for pool in pools for instance in pool.instances if instance.pid and not instance.ended]

    def start_housekeeping(self) -> None:
        """From now on, watch the memory and end instances that are idle for long."""
        self._spawn(self._watch_memory())
        self._spawn(self._retire())

    async def close(self) -> None:
        """Drop the waiting events and end every instance."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(pool.close() for pool in self.pools.values()))

    def _pool(self, reference: str) -> FunctionPool:
        pool = self.pools.get(function_name(reference))
        if pool is None or qualifier(reference) not in ("$LATEST", pool.function.alias):
            raise FunctionNotFound(f"Function not found: {reference}")
        return pool

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, pool: FunctionPool, payload: bytes) -> None:
        function = pool.function
        accepted = time.monotonic()
        first = _invocation(payload)
        failures, throttle = 0, THROTTLE_SECONDS[0]
        while time.monotonic() - accepted <= function.max_event_age:
            # A retry keeps the request id, because it is the same event.
            again = _invocation(payload)
            again.request_id = first.request_id
            try:
                answer = await pool.run(again)
            except TooManyRequests:
                await asyncio.sleep(throttle)
                throttle = min(throttle * 2, THROTTLE_SECONDS[1])
                continue
            if not answer.failed:
                return
            failures += 1
            if failures > function.retries:
                break
            await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1])
        logger.warning("an event for %s was given up after %d failed attempts", function.short_name, failures)

    async def _watch_memory(self) -> None:
        while True:
            await asyncio.sleep(MEMORY_CHECK_SECONDS)
            instances = {instance.pid: instance for instance in self.instances()}
            if not instances:
                continue
            used = await asyncio.to_thread(resident_megabytes, list(instances))
            for pid, instance in instances.items():
                if used[pid] > instance.function.memory_mb:
                    logger.warning(
                        "%s used %d MB of its %d MB and was killed",
                        instance.function.short_name, used[pid], instance.function.memory_mb,
                    )  # fmt: skip
                    instance.kill("Runtime.ExitError", "Runtime exited with error: signal: killed")

    async def _retire(self) -> None:
        while True:
            await asyncio.sleep(RETIRE_SECONDS)
            for pool in self.pools.values():
                pool.retire_idle()


def _invocation(payload: bytes) -> Invocation:
    return Invocation(payload, asyncio.get_running_loop().create_future())
