"""ministack refuses an alarm on metric math. It now keeps such an alarm as one on a metric that nobody writes."""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import provisioners

_record = provisioners._cw_metric_alarm_record


def fill() -> None:
    """Accept alarms with the property ``Metrics``."""
    provisioners._cw_metric_alarm_record = _record_any


def _record_any(name: str, properties: dict[str, Any]) -> Any:
    if properties.get("Metrics"):
        properties = properties | {"Metrics": None, "MetricName": "math", "Namespace": "math"}
    return _record(name, properties)
