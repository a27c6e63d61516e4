"""Checks that the installed neonize offers what `child.py` needs. It runs in the environment of a version.

usage: python -m infra.engine_version.interface        (prints the lines of a report as JSON)
"""

# The child itself imports pylibmagic first, and so neonize finds libmagic here too.
import pylibmagic  # noqa: F401, I001

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from infra.engine_version.needs import Needs, needs
from infra.engine_version.report import Line, failed, ok

CHILD = Path(__file__).resolve().parents[2] / "layers" / "engine" / "whatsapp_engine" / "child.py"


def check(wanted: Needs) -> Iterator[Line]:
    """Yield one line for each kind of need."""
    there, missing = {}, []
    for module, name in sorted(wanted.imports):
        try:
            there[name] = _import(module, name)
        except (ImportError, AttributeError):
            missing.append(f"{module} has no {name}")
    yield _line("names that we import", len(wanted.imports), missing)
    client = there.get("NewClient")
    if client is None:
        return  # the line above has failed, and nearly all others are about this class
    attributes = [(owner, name) for owner, name in sorted(wanted.attributes) if owner in there]
    yield _line(
        "functions and constants",
        len(attributes),
        [f"{owner} has no {name}" for owner, name in attributes if not hasattr(there[owner], name)],
    )
    yield _line("calls", len(wanted.calls), _refused_calls(wanted, there))
    yield _line(
        "members of NewClient",
        len(wanted.members),
        [f"NewClient has no {name}" for name in sorted(wanted.members) if not _has_member(client, name)],
    )
    yield _line("private methods that we replace", len(wanted.overrides), _lost_overrides(wanted, client))
    fields = {field for kind in there.values() for field in _fields(kind)}
    yield _line(
        "fields of messages",
        len(wanted.fields),
        [f"no message has a field {name}" for name in sorted(wanted.fields - fields)],
    )
    known = _import("neonize.events", "EVENT_TO_INT")
    events = sorted(name for module, name in wanted.imports if module == "neonize.events" and name in there)
    yield _line(
        "events",
        len(events),
        [f"{name} is no event of the engine" for name in events if there[name] not in known],
    )


def _import(module: str, name: str) -> Any:
    found = import_module(module)
    return getattr(found, name) if hasattr(found, name) else import_module(f"{module}.{name}")


def _line(what: str, number: int, wrong: Iterable[str]) -> Line:
    problems = "; ".join(wrong)
    return failed(f"API, {what}", problems) if problems else ok(f"API, {what}", f"{number} as child.py needs them")


def _refused_calls(wanted: Needs, there: dict[str, Any]) -> Iterator[str]:
    for name, positional, keywords in sorted(wanted.calls):
        called = there.get(name)
        if called is None:
            continue
        if fields := _fields(called):
            yield from (f"{name} has no field {keyword}" for keyword in keywords if keyword not in fields)
            continue
        try:
            signature = inspect.signature(called)
        except (TypeError, ValueError):
            continue  # a function of C, which the suites call
        try:
            signature.bind(*[None] * positional, **dict.fromkeys(keywords))
        except TypeError as error:
            yield f"{name} does not take our arguments ({error})"


def _has_member(client: Any, name: str) -> bool:
    return hasattr(client, name) or re.search(rf"self\.{name}\b[^=\n]*=", inspect.getsource(client)) is not None


def _lost_overrides(wanted: Needs, client: Any) -> Iterator[str]:
    for name, parameters in sorted(wanted.overrides):
        method = getattr(client, name, None)
        if method is None:
            yield f"NewClient has no {name}, so our method of this name is never called"
        elif (given := len(inspect.signature(method).parameters)) != parameters:
            yield f"{name} takes {given} parameters, not {parameters}"


def _fields(kind: Any) -> set[str]:
    descriptor = getattr(kind, "DESCRIPTOR", None)
    return set(getattr(descriptor, "fields_by_name", ()))


def main() -> None:
    """Print the lines."""
    for line in check(needs(CHILD.read_text("utf-8"))):
        print(json.dumps(asdict(line)))


if __name__ == "__main__":
    main()
