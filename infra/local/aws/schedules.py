"""Invokes functions on their schedules, as EventBridge Scheduler does."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.local.errors import InvocationError
from infra.template.intrinsics import ACCOUNT, REGION
from infra.template.stack_definition import Schedule

logger = logging.getLogger(__name__)


class Scheduler:
    """Runs the template's schedules until it is stopped.

    Parameters
    ----------
    schedules
        The schedules to run.
    invoke
        Invokes a function asynchronously with an event.
    """

    def __init__(self, schedules: Sequence[Schedule], invoke: Callable[[str, bytes], None]) -> None:
        self._schedules = schedules
        self._invoke = invoke
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every schedule. Each one fires at once, as it does after a deployment."""
        self._tasks = [asyncio.create_task(self._run(schedule)) for schedule in self._schedules]

    async def stop(self) -> None:
        """Stop every schedule."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, schedule: Schedule) -> None:
        while True:
            try:
                self._invoke(schedule.function, json.dumps(_event(schedule)).encode())
            except InvocationError as error:
                logger.warning("schedule %s: %s", schedule.name, error)
            # Count from now and not from the due time. So a machine that slept does not catch up on what it missed.
            await asyncio.sleep(schedule.seconds)


def _event(schedule: Schedule) -> Any:
    """Return the function's event: the schedule's own input, or else the standard event of EventBridge Scheduler."""
    if schedule.payload is not None:
        return schedule.payload
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{schedule.name}"],
        "detail": "{}",
    }
