"""Mistakes that a person could make in the template. Each function returns a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.tools.template.conftest import Template

Change = Callable[[Template], None]


def statement(action: object, resource: object, **more: object) -> dict[str, Any]:
    """A policy as it stands in the template."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource} | more]}


def grant(function: str, policy: object) -> Change:
    """Add a policy to a function."""

    def change(template: Template) -> None:
        template["Resources"][function]["Properties"].setdefault("Policies", []).append(policy)

    return change


def put(name: str, *path: str | int, value: Any) -> Change:
    """Set a property of a resource."""

    def change(template: Template) -> None:
        at = template["Resources"][name]["Properties"]
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value

    return change


def add(name: str, kind: str, **properties: object) -> Change:
    """Add a resource."""

    def change(template: Template) -> None:
        template["Resources"][name] = {"Type": kind, "Properties": properties}

    return change


def instead(name: str, old: str, new: str, value: object) -> Change:
    """Replace a property of a resource by another one."""

    def change(template: Template) -> None:
        del template["Resources"][name]["Properties"][old]
        template["Resources"][name]["Properties"][new] = value

    return change


def drop(function: str, policy: object) -> Change:
    """Remove a policy from a function."""
    return lambda template: template["Resources"][function]["Properties"]["Policies"].remove(policy)


def without(name: str, *path: str) -> Change:
    """Remove a property from a resource."""

    def change(template: Template) -> None:
        at = template["Resources"][name]["Properties"]
        for key in path[:-1]:
            at = at[key]
        del at[path[-1]]

    return change


def both(*changes: Change) -> Change:
    """Make several changes."""

    def change(template: Template) -> None:
        for one in changes:
            one(template)

    return change
