"""The schedules of a template: events of functions, and schedules of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from infra.local.errors import TemplateError
from infra.local.resources import FUNCTION, SCHEDULE, Resources, required
from infra.local.stack import Schedule, function_name

_EVENT_SOURCES = {"ScheduleV2": "aws.scheduler", "Schedule": "aws.events"}


def read_schedules(resources: Resources) -> Iterator[Schedule]:
    """Every schedule that is enabled."""
    for logical_id in resources.ids(FUNCTION):
        for name, kind, event in resources.events(logical_id):
            if kind in _EVENT_SOURCES and _enabled(event):
                expression = event.get("ScheduleExpression") or event.get("Schedule")
                full_name = f"{logical_id}{name}"
                yield _schedule(full_name, resources.name(logical_id), expression, event, _EVENT_SOURCES[kind])
    for logical_id in resources.ids(SCHEDULE):
        properties = resources.resolve(resources.properties(logical_id), logical_id)
        target = properties.get("Target") or {}
        if _enabled(properties):
            function = function_name(required(target.get("Arn"), f"{logical_id}.Target.Arn"))
            event = properties | {"Input": target.get("Input")}
            yield _schedule(logical_id, function, properties.get("ScheduleExpression"), event, "aws.scheduler")


def _schedule(name: str, function: str, expression: Any, event: dict[str, Any], source: str) -> Schedule:
    try:
        payload = json.loads(event["Input"]) if event.get("Input") else None
    except ValueError as error:
        raise TemplateError(f"{name}.Input: not JSON: {error}") from error
    return Schedule(
        name=name,
        function=function,
        expression=required(expression, f"{name}.ScheduleExpression"),
        timezone=event.get("ScheduleExpressionTimezone", "UTC"),
        payload=payload,
        source=source,
    )


def _enabled(event: dict[str, Any]) -> bool:
    return event.get("State", "ENABLED") == "ENABLED" and event.get("Enabled", True) not in (False, "false")
