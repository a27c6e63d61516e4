"""Structured logs and metrics, by Powertools. Never a QR, a token, a key or a JWT in either."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

NAMESPACE = "WhatsAppPairing"

# Handlers append attempt_id and user_id; service and level come from the POWERTOOLS_* environment.
logger = Logger()


def count(name: str, value: float = 1, **dimensions: str) -> None:
    """Write a count to the log, as CloudWatch reads metrics from it.

    Written at once and not at the invocation's end: a linker that is killed later has still said it. The dimension
    ``service`` (POWERTOOLS_SERVICE_NAME) is always there. Each combination of others is one more metric to pay for:
    no user, phone or attempt may be one.
    """
    _write(name, MetricUnit.Count, value, dimensions)


def duration(name: str, seconds: float) -> None:
    """Write how long something took, in milliseconds."""
    _write(name, MetricUnit.Milliseconds, round(seconds * 1000), {})


def _write(name: str, unit: MetricUnit, value: float, dimensions: dict[str, str]) -> None:
    with single_metric(name, unit, value, namespace=NAMESPACE, default_dimensions=dimensions):
        pass
