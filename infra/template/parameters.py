"""Checks the value of a template's parameter, as CloudFormation does in a deployment."""

from __future__ import annotations

import re
from typing import Any

from infra.template.errors import TemplateError


def check(name: str, declaration: dict[str, Any], value: str | list[str]) -> None:
    """Check a value, or each item of a list, against its parameter's type, AllowedValues, AllowedPattern and limits.

    Raises
    ------
    TemplateError
        The value is not allowed. The message names the parameter and says what it allows.
    """
    for item in (value or [""]) if isinstance(value, list) else [value]:
        obstacle = _obstacle(declaration, item)
        if obstacle is not None:
            described = str(declaration.get("ConstraintDescription") or obstacle).strip()
            raise TemplateError(f"parameter {name} does not take {item!r}: {described}")


def _obstacle(declaration: dict[str, Any], item: str) -> str | None:
    allowed = declaration.get("AllowedValues")
    if allowed is not None and item not in map(str, allowed):
        return f"one of {', '.join(map(str, allowed))}"
    pattern = declaration.get("AllowedPattern")
    if pattern is not None and not re.fullmatch(pattern, item, re.ASCII):
        return f"it must match {pattern}"
    least, most = declaration.get("MinLength", 0), declaration.get("MaxLength", len(item))
    if not int(least) <= len(item) <= int(most):
        return f"{least} to {most} characters"
    if "Number" in str(declaration.get("Type")):
        return _number_obstacle(declaration, item)
    return None


def _number_obstacle(declaration: dict[str, Any], item: str) -> str | None:
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", item):
        return "a number"
    least, most = declaration.get("MinValue"), declaration.get("MaxValue")
    if least is not None and float(item) < float(least):
        return f"{least} or more"
    if most is not None and float(item) > float(most):
        return f"{most} or less"
    return None
