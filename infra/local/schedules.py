"""Invokes functions by the clock, as EventBridge Scheduler does."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from infra.local.cron import Rate, Timetable, parse
from infra.local.errors import InvocationError, TemplateError
from infra.local.intrinsics import ACCOUNT, REGION
from infra.local.stack import Schedule

logger = logging.getLogger(__name__)


class Scheduler:
    """Runs the stack's schedules until it is stopped.

    Parameters
    ----------
    schedules
        What to run.
    invoke
        Invokes a function asynchronously with an event.

    Raises
    ------
    TemplateError
        An expression or time zone cannot be read.
    """

    def __init__(self, schedules: Sequence[Schedule], invoke: Callable[[str, bytes], None]) -> None:
        self._entries = [(schedule, *_timetable(schedule)) for schedule in schedules]
        self._invoke = invoke
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start every schedule; one with a rate fires at once, as it does when it is deployed."""
        self._tasks = [asyncio.create_task(self._run(*entry)) for entry in self._entries]

    async def stop(self) -> None:
        """Stop every schedule."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, schedule: Schedule, timetable: Timetable, zone: ZoneInfo) -> None:
        due: datetime | None = datetime.now(zone)
        if not isinstance(timetable, Rate):
            due = timetable.next_after(datetime.now(zone))
        while due is not None:
            await asyncio.sleep(max(0.0, (due - datetime.now(zone)).total_seconds()))
            try:
                self._invoke(schedule.function, json.dumps(event(schedule, due)).encode())
            except InvocationError as error:
                logger.warning("schedule %s: %s", schedule.name, error)
            # From now on, not from when it was due: a machine that slept does not catch up.
            due = timetable.next_after(max(due, datetime.now(zone)))


def event(schedule: Schedule, due: datetime) -> Any:
    """What the function gets: the schedule's own input, or the clock's standard event."""
    if schedule.payload is not None:
        return schedule.payload
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": schedule.source,
        "account": ACCOUNT,
        "time": due.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{schedule.name}"],
        "detail": "{}" if schedule.source == "aws.scheduler" else {},
    }


def _timetable(schedule: Schedule) -> tuple[Timetable, ZoneInfo]:
    try:
        zone = ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise TemplateError(f"{schedule.name}: {schedule.timezone} is not a time zone") from error
    return parse(schedule.expression, schedule.name), zone
