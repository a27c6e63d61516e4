"""ministack gives SAM's transform no parameter values. AWS gives it all of them, and a list for a list type."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from ministack.services.cloudformation import changesets, engine, handlers
from samtranslator.translator import transform as sam

_transforms, _sam = engine._apply_transforms, sam.transform
_values: ContextVar[dict[str, object]] = ContextVar("values")


def fill() -> None:
    """Give SAM's transform the values of the deployment that it runs for."""
    sam.transform = _sam_with_values
    for module in (engine, changesets, handlers):
        module._apply_transforms = _transforms_with_values


def _transforms_with_values(template: dict[str, Any], provided: Any = None, previous: Any = None) -> Any:
    values = engine._transform_parameters(template, provided, previous)
    token = _values.set(
        {name: _value(values[name], one) for name, one in _parameters(template).items() if name in values}
    )
    try:
        return _transforms(template, provided, previous)
    finally:
        _values.reset(token)


def _sam_with_values(template: dict[str, Any], _: object, policies: object) -> Any:
    return _sam(template, _values.get(), policies)


def _parameters(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return template.get("Parameters") or {}


def _value(text: str, parameter: dict[str, Any]) -> object:
    if parameter["Type"].startswith(("CommaDelimitedList", "List<")):
        return [item.strip() for item in text.split(",")]
    return text
