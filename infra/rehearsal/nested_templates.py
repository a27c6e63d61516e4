"""ministack keeps the address of a nested template as its own. `sam delete` wants the address that AWS would give."""

from __future__ import annotations

import os
from typing import Any

from ministack.services.cloudformation import handlers

_get_template = handlers._ACTION_HANDLERS["GetTemplate"]


def fill() -> None:
    """Write addresses of S3 into the templates that CloudFormation returns."""
    handlers._ACTION_HANDLERS["GetTemplate"] = _with_addresses_of_s3


def _with_addresses_of_s3(parameters: dict[str, Any]) -> Any:
    status, headers, body = _get_template(parameters)
    here = f"http://{os.environ['MINISTACK_HOST']}:{os.environ['GATEWAY_PORT']}/"
    there = f"https://s3.{os.environ['MINISTACK_REGION']}.amazonaws.com/"
    text = body.decode() if isinstance(body, bytes) else body
    return status, headers, text.replace(here, there).encode()
