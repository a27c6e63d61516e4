"""References in a CloudFormation template that name nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.template.intrinsics import PLACEHOLDER

PSEUDO = {
    f"AWS::{name}"
    for name in ("AccountId", "NoValue", "NotificationARNs", "Partition", "Region", "StackId", "StackName", "URLSuffix")
}


def unresolved(template: dict[str, Any]) -> list[str]:
    """Return every reference to something that the template does not have, with its place.

    A ``${Name}`` outside of ``Fn::Sub`` counts too, because CloudFormation leaves it as it is.
    """
    return [
        f"{part}.{name}: {said}"
        for part in ("Conditions", "Resources", "Outputs", "Rules")
        for name, one in (template.get(part) or {}).items()
        for said in _unresolved(one, template)
    ]


def _unresolved(value: Any, template: dict[str, Any]) -> Iterator[str]:
    resources, conditions = set(template["Resources"]), set(template.get("Conditions") or {})
    values = resources | set(template.get("Parameters") or {}) | PSEUDO
    match value:
        case {"Ref": name}:
            yield from _missing("Ref", [name], values)
        case {"Fn::GetAtt": [name, *_]}:
            yield from _missing("Fn::GetAtt", [name], resources)
        case {"Fn::Sub": str(text)}:
            yield from _unresolved({"Fn::Sub": [text, {}]}, template)
        case {"Fn::Sub": [text, own]}:
            names = [name for escaped, name in PLACEHOLDER.findall(text) if not escaped and name not in own]
            yield from _missing("Fn::Sub", [name for name in names if "." not in name], values)
            yield from _missing("Fn::Sub", [name.split(".")[0] for name in names if "." in name], resources)
            yield from _unresolved(own, template)
        case {"Fn::If": [condition, *both]}:
            yield from _missing("Fn::If", [condition], conditions)
            yield from _unresolved(both, template)
        case dict():
            if isinstance(value.get("Condition"), str):
                yield from _missing("Condition", [value["Condition"]], conditions)
            depends = value.get("DependsOn") or []
            yield from _missing("DependsOn", [depends] if isinstance(depends, str) else depends, resources)
            for one in value.values():
                yield from _unresolved(one, template)
        case list():
            for one in value:
                yield from _unresolved(one, template)
        case str():
            yield from (f"{found[0]} is no part of an Fn::Sub" for found in PLACEHOLDER.finditer(value))


def _missing(function: str, names: list[str], known: set[str]) -> Iterator[str]:
    return (f"{function} {name} names nothing" for name in names if name not in known)
