"""Reads the schedules of a template, which are events of functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from infra.template.errors import TemplateError
from infra.template.resources import FUNCTION, SCHEDULE, Resources, required
from infra.template.stack_definition import Schedule

_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)s?\)")
_UNITS = {"minute": 60, "hour": 3600, "day": 86_400}


def read_schedules(resources: Resources) -> Iterator[Schedule]:
    """Yield each schedule that is enabled."""
    for logical_id in resources.ids(SCHEDULE):
        raise TemplateError(f"{logical_id}: {SCHEDULE} does not run here, only a function's ScheduleV2 events do")
    for logical_id in resources.ids(FUNCTION):
        for name, kind, event in resources.events(logical_id):
            if kind == "ScheduleV2" and event.get("State", "ENABLED") == "ENABLED":
                where = f"{logical_id}.Events.{name}"
                yield Schedule(
                    name=f"{logical_id}{name}",
                    function=resources.name(logical_id),
                    seconds=_seconds(event, where),
                    payload=_payload(event, where),
                )


def _seconds(event: dict[str, Any], where: str) -> int:
    if "ScheduleExpressionTimezone" in event:
        raise TemplateError(f"{where}: ScheduleExpressionTimezone: schedules have no time zone here")
    expression = required(event.get("ScheduleExpression"), f"{where}.ScheduleExpression")
    rate = _RATE.fullmatch(expression)
    if not rate:
        raise TemplateError(f"{where}: {expression}: only rate(), in minutes, hours or days, runs here")
    return int(rate[1]) * _UNITS[rate[2]]


def _payload(event: dict[str, Any], where: str) -> Any:
    try:
        return json.loads(event["Input"]) if event.get("Input") else None
    except ValueError as error:
        raise TemplateError(f"{where}.Input: not JSON: {error}") from error
