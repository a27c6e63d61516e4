"""Looks for what `sam deploy` would ignore in samconfig.toml without a word."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from infra.template.intrinsics import load_yaml

# SAM reads a parameter where this matches, and skips all other text.
_ONE = re.compile(r""" +([A-Za-z0-9]+)=("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?:\\.|[^ "\\])+)""")


def ignored(samconfig: Path, template: Path) -> list[str]:
    """Return a sentence for each parameter that the template does not have, and for each value that SAM would cut.

    SAM deploys in spite of both. The old value of a parameter whose name is misspelt then stays.
    """
    known = load_yaml(template.read_text("utf-8"))["Parameters"].keys()
    try:
        environments = tomllib.loads(samconfig.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        return [f"{samconfig.name}: {error}"]
    return [
        f"{samconfig.name}, {environment}: {problem}"
        for environment, section in environments.items()
        if isinstance(section, dict)
        for problem in _problems(_overrides(section), known)
    ]


def _overrides(section: Mapping[str, Any]) -> list[str] | Mapping[str, Any]:
    overrides = section.get("deploy", {}).get("parameters", {}).get("parameter_overrides", [])
    return [overrides] if isinstance(overrides, str) else overrides


def _problems(overrides: list[str] | Mapping[str, Any], known: Collection[str]) -> Iterator[str]:
    for row in overrides:
        # In a table, a row is only the name. SAM takes its value as it is.
        text = f" {row}=x" if isinstance(overrides, Mapping) else f" {row.strip()}"
        for name, _ in _ONE.findall(text):
            if name not in known:
                meant = get_close_matches(name, known, 1)
                yield f"the template has no parameter {name}" + (f"; {meant[0]}?" if meant else "")
        if _ONE.sub("", text).strip():
            yield f"SAM would cut {row} at a space or quote; write the value in quotes: 'Name=\"one two\"'"
