"""Structured logs and metrics, by Powertools. Never a QR, a token, a key or a JWT in either."""

from aws_lambda_powertools import Logger, Metrics

# Handlers append attempt_id and user_id; service, namespace and level come from the POWERTOOLS_* environment.
logger = Logger()
metrics = Metrics()
