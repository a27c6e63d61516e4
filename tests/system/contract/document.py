"""infra/stack/openapi.yaml, and its parts that tests compare with the code."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.support.stack import ROOT

PATH = ROOT / "infra" / "stack" / "openapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(PATH.read_text("utf-8"))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]

_REGISTRY: Registry[Any] = Registry().with_resource("urn:api", DRAFT202012.create_resource(DOCUMENT))
_FORMATS = FormatChecker(["uuid"])


@_FORMATS.checks("date-time", raises=ValueError)
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every method and path with its operation."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def resolved(part: Any) -> Any:
    """A part of the document. A reference is followed."""
    while isinstance(part, dict) and "$ref" in part:
        found: Any = DOCUMENT
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def answers(operation: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The documented answers of an operation, by status."""
    return {int(status): resolved(answer) for status, answer in operation["responses"].items()}


def complaints(schema: Any, value: Any) -> list[str]:
    """The differences between a value and one of the document's schemas."""
    # References in a schema are relative to the whole document.
    based = {"$id": "urn:api:part", "allOf": [_absolute(schema)]}
    validator = Draft202012Validator(based, registry=_REGISTRY, format_checker=_FORMATS)
    return [error.message for error in validator.iter_errors(value)]


def codes(answer: dict[str, Any]) -> set[str]:
    """The values of ``error`` in an answer. The schema beside `Failure` lists them as ``const`` or ``enum``."""
    schema = resolved(answer.get("content", {}).get("application/json", {}).get("schema", {}))
    refined = [part for kind in schema.get("oneOf", [schema]) for part in kind.get("allOf", [])]
    named = [part["properties"].get("error", {}) for part in refined if "properties" in part]
    return {code for one in named for code in one.get("enum", [one.get("const")]) if code}


def _absolute(part: Any) -> Any:
    if isinstance(part, list):
        return [_absolute(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        name: f"urn:api{value}" if name == "$ref" and value.startswith("#") else _absolute(value)
        for name, value in part.items()
    }
