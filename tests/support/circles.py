"""Finds circles in the references of a CloudFormation template, which cfn-lint does not see after SAM's transform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_PLACEHOLDER = re.compile(r"\$\{(?!!)([^}.]+)")


def circle(template: dict[str, Any]) -> list[str]:
    """Return the resources of a circle in the order of their references, or an empty list.

    The template must be the result of SAM's transform, because SAM adds resources with references of their own.
    """
    needs = {name: sorted(set(_names(one)) & set(template["Resources"])) for name, one in template["Resources"].items()}
    done: set[str] = set()
    for start in needs:
        found = _circle(start, needs, [], done)
        if found:
            return found
    return []


def _circle(name: str, needs: dict[str, list[str]], path: list[str], done: set[str]) -> list[str]:
    if name in path:
        return path[path.index(name) :]
    if name in done:
        return []
    for needed in needs[name]:
        found = _circle(needed, needs, [*path, name], done)
        if found:
            return found
    done.add(name)
    return []


def _names(value: Any) -> Iterator[str]:
    """Yield each name in Ref, Fn::GetAtt, Fn::Sub and DependsOn, on every side of a condition."""
    match value:
        case list():
            for one in value:
                yield from _names(one)
        case dict():
            for key, one in value.items():
                yield from _named(key, one)
                yield from _names(one)


def _named(key: str, value: Any) -> Iterator[str]:
    match key, value:
        case ("Ref" | "DependsOn", str(name)):
            yield name
        case "DependsOn", [*names]:
            yield from names
        case "Fn::GetAtt", [str(name), *_]:
            yield name
        case "Fn::GetAtt", str(name):
            yield name.partition(".")[0]
        case "Fn::Sub", str(text):
            yield from _PLACEHOLDER.findall(text)
        case "Fn::Sub", [str(text), _]:
            yield from _PLACEHOLDER.findall(text)
