"""Reads metrics from a log, as CloudWatch does: one JSON object per line, in the embedded metric format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """One value of one metric. The same name with other dimensions is another metric."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    unit: str
    value: float

    def of(self, name: str) -> str | None:
        """Return the value of a dimension, or None."""
        return dict(self.dimensions).get(name)


def metrics_in(log: str) -> list[Metric]:
    """Return the metrics of a log, in the order of its lines."""
    lines = (json.loads(line[line.index("{") :]) for line in log.splitlines() if '"_aws"' in line)
    return [metric for line in lines for metric in _metrics(line)]


def values(metrics: list[Metric], name: str, **dimensions: str) -> list[float]:
    """Return the values of a metric that has exactly these dimensions, besides ``service``."""
    return [
        metric.value
        for metric in metrics
        if metric.name == name and {key: it for key, it in metric.dimensions if key != "service"} == dimensions
    ]


def _metrics(line: dict[str, Any]) -> Iterator[Metric]:
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = tuple(sorted((name, line[name]) for name in names))
            for metric in directive["Metrics"]:
                found = line[metric["Name"]]
                for value in found if isinstance(found, list) else [found]:
                    yield Metric(directive["Namespace"], metric["Name"], dimensions, metric["Unit"], value)
