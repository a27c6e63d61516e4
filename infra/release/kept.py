"""The recorded calls of earlier releases (``tests/releases``), compared with what exists now.

From release 1.0 on, every recorded call must still exist, for as long as its release is kept. When the support of a
release is over, its folder may go. Before 1.0, a difference is only reported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.migrate.release import order
from infra.release.calls import API, BUNDLE, DATABASE, EVENTS, FILES, ROOT, WORKFLOW
from infra.release.statements import describe

FOLDER = ROOT / "tests" / "releases"
FIRST_COMPATIBLE = "1.0.0"
_PLACEHOLDER_OF_A_NUMBER = re.compile(r'(?<!")\$\{\w+\}(?!")')


def kept(folder: Path = FOLDER) -> list[str]:
    """Return the releases whose calls are recorded, the oldest first."""
    return sorted((path.name for path in folder.iterdir() if path.is_dir()), key=order)


def compatible(version: str) -> bool:
    """Whether the calls of a release must still exist."""
    return order(version) >= order(FIRST_COMPATIBLE)


def read(version: str, folder: Path = FOLDER) -> dict[str, str]:
    """Return the recorded files of a release."""
    return {name: (folder / version / name).read_text("utf-8") for name in FILES}


def gone(before: dict[str, str], now: dict[str, str], url: str) -> list[str]:
    """Return a line for each recorded call that does not exist any more, or only in another form.

    Parameters
    ----------
    before, now : dict
        The files of two releases, as ``calls.recorded`` returns them.
    url : str
        A migrated database of ``now``, with the login of its owner.
    """
    api = set(_lines(json.loads(before[API]))) - set(_lines(json.loads(now[API])))
    return [
        *_gone_statements(json.loads(before[DATABASE]), url),
        *_gone_events(json.loads(before[EVENTS]), json.loads(now[EVENTS])),
        *(f"{WORKFLOW}: {use}" for use in sorted(uses(before[WORKFLOW]) - uses(now[WORKFLOW]))),
        *(f"{API}: {line}" for line in sorted(api)),
    ]


def moved(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return a line for each version of a bundle that stands for another text now.

    A product's tool has recorded the version, so it would never apply the other text. This rule holds before 1.0, too.
    """
    texts = {one["version"]: (name, one["checksum"]) for name, one in json.loads(now[BUNDLE]).items()}
    then = {one["version"]: (name, one["checksum"]) for name, one in json.loads(before[BUNDLE]).items()}
    return [f"{BUNDLE}: {version}" for version in sorted(then) if texts.get(version, then[version]) != then[version]]


def uses(definition: str) -> set[str]:
    """Return what a workflow's definition uses of each function: the fields of its payload and of its answer."""
    states = json.loads(_PLACEHOLDER_OF_A_NUMBER.sub("0", definition))["States"]
    tasks = [state for state in states.values() if state["Type"] == "Task"]
    return {
        f"{task['Parameters']['FunctionName']} {verb} {name.removesuffix('.$')}"
        for task in tasks
        for verb, names in (("takes", task["Parameters"]["Payload"]), ("answers", task.get("ResultSelector", {})))
        for name in names
    }


def _gone_statements(before: dict[str, Any], url: str) -> Iterator[str]:
    for statement, now in describe(url, before).items():
        then = before[statement]
        if isinstance(now, str):
            yield f"{DATABASE}: {statement}: {now}"
        elif (now["takes"], now["answers"]) != (then["takes"], then["answers"]):
            yield f"{DATABASE}: {statement}: takes or answers other types"
        elif lost := set(then["roles"]) - set(now["roles"]):
            yield f"{DATABASE}: {statement}: not any more for {', '.join(sorted(lost))}"


def _gone_events(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for name, then in before.items():
        fields = now.get(name, {}).get("properties", {})
        for field, schema in then["properties"].items():
            if fields.get(field) != schema:
                yield f"{EVENTS}: {name}.{field}"
        for field in set(now.get(name, {}).get("required", [])) - set(then.get("required", [])):
            yield f"{EVENTS}: {name}.{field} must be there now"


def _lines(value: Any, path: str = "") -> Iterator[str]:
    """Yield a line for each value of a document. The order of a list does not count."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _lines(inner, f"{path}/{name}")
    elif isinstance(value, list):
        for inner in value:
            yield f"{path}[] = {json.dumps(inner, sort_keys=True)}"
    else:
        yield f"{path} = {json.dumps(value)}"
