"""Reads `expected.json`, the snapshot of all that a migrated database must hold.

`python -m infra.migrate snapshot` writes the file from a fresh database. Review its diff. Each fact stands under its
parent. `verify` looks for a fact only if its parent is there, so a lost table is one finding and not forty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from infra.migrate.checked_objects import ENGINE_TABLE, ENGINE_TABLES, ENGINE_VERSION, ROLES

SNAPSHOT = Path(__file__).with_name("expected.json")

# Of whatsmeow's tables, which whatsmeow makes and upgrades itself, only these facts are expected.
_OF_THE_ENGINE = (
    f"table {ENGINE_TABLE}",
    f"table {ENGINE_VERSION}",
    "index whatsmeow_device_by_fingerprint",
    "index whatsmeow_device_by_number",
)


@dataclass(frozen=True)
class Expected:
    """One fact that must hold. `parent` is the name of the fact about the object to which this fact belongs."""

    name: str
    value: str
    parent: str = ""


@cache
def expected() -> tuple[Expected, ...]:
    """Return every fact that must hold, parents before children."""
    groups = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    return tuple(Expected(name, value, parent) for parent, group in groups.items() for name, value in group.items())


def snapshot(facts: Mapping[str, str]) -> str:
    """Return the text of `expected.json` for the facts of a fresh database."""
    ours = {name: facts[name] for name in sorted(facts) if not _is_whatsmeows(name, facts[name])}
    groups: dict[str, dict[str, str]] = {}
    for name, value in ours.items():
        groups.setdefault(_parent(name, value), {})[name] = value
    ordered: dict[str, dict[str, str]] = {}
    waiting = [""]
    for parent in waiting:  # the list grows: first the facts without a parent, then their children, and so on
        if parent in groups:
            ordered[parent] = groups[parent]
            waiting.extend(groups[parent])
    if lost := groups.keys() - ordered.keys():
        raise ValueError(f"these facts are about objects that are not there: {', '.join(sorted(lost))}")
    return json.dumps(ordered, indent=2, ensure_ascii=False) + "\n"


def _is_whatsmeows(name: str, value: str) -> bool:
    if name in _OF_THE_ENGINE or name.startswith("privileges of "):
        return False
    return "whatsapp_engine.whatsmeow_" in (value if name.startswith("index ") else name)


def _parent(name: str, value: str) -> str:
    """Return the name of the object to which a fact belongs; empty when the fact has no parent."""
    kind, _, rest = name.partition(" ")
    parent = ""
    if name == f"table {ENGINE_VERSION}" or name.endswith(f" on {ENGINE_TABLES}"):
        parent = f"table {ENGINE_TABLE}"
    elif kind == "column":
        parent = f"table {rest.rpartition('.')[0]}"
    elif kind in ("index", "trigger"):
        parent = f"table {value.partition(' ON ')[2].split()[0]}"
    elif kind == "usage":
        role = rest.rpartition(" by ")[2]
        parent = f"role {role}" if role in ROLES else ""
    elif kind == "body":
        parent = name.removeprefix("body of ")
    elif kind in ("table", "function"):
        schema = rest.partition(".")[0]
        parent = "" if schema == "public" else f"schema {schema}"
    elif kind not in ("role", "schema"):
        place = re.split(r" (?:on|inside|of) ", name)[-1]
        parent = place if place.startswith(("schema ", "table ", "function ", "role ")) else f"table {place}"
    return parent
