"""Structured logs and metrics, by Powertools. Neither may hold a QR, a task token, an access token or a key."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

NAMESPACE = "WhatsAppPairing"

# Handlers append attempt_id and user_id; service and level come from the POWERTOOLS_* environment.
logger = Logger()


def count(name: str, value: float = 1, **dimensions: str) -> None:
    """Write a count to the log. CloudWatch reads the metric from there.

    The count is written at once, and not at the end of the invocation. So it is in the log even if the linker is killed
    later. The dimension ``service`` (POWERTOOLS_SERVICE_NAME) is always there. AWS charges for each combination of
    dimensions, so a user, a phone or an attempt may not be a dimension.
    """
    _write(name, MetricUnit.Count, value, dimensions)


def duration(name: str, seconds: float) -> None:
    """Write how long something took, in milliseconds."""
    _write(name, MetricUnit.Milliseconds, round(seconds * 1000), {})


def _write(name: str, unit: MetricUnit, value: float, dimensions: dict[str, str]) -> None:
    with single_metric(name, unit, value, namespace=NAMESPACE, default_dimensions=dimensions):
        pass
