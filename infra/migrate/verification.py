"""The command `verify`: it compares a database with what the migrations make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import psycopg

from infra.migrate.catalog_facts import collect_facts, read_facts
from infra.migrate.checked_objects import LOGINS, SESSIONS
from infra.migrate.connection import connected, readable, require_supabase
from infra.migrate.expected import expected
from infra.migrate.grant_advice import advice
from infra.migrate.release import refuse_newer

# A column that the product has added and that may reject our insert: it has no default and must not be null, it is
# generated, or its type or default may reject a row. catalog_facts.py writes these words.
_RISKY_COLUMN = re.compile(r" not null$| \((generated|domain|default needs .*)\)$")

# Kinds of additions that are always reported. Of the product's columns, indexes, triggers and policies, only some are
# reported (`_rejects`).
_KINDS = (
    "check",
    "child",
    "exclusion",
    "filter",
    "forced",
    "foreign",
    "parent",
    "reference",
    "replica",
    "rule",
    "unique",
)

ABSENT = "absent"
"""The wanted value of a grant, a policy or a publication that must not be there, because it opens our tables."""


@dataclass(frozen=True)
class Finding:
    """One finding of `verify`.

    `missing` and `differs` are about our objects. `beyond` is about an object that the product has added to the table
    of session rows. It may reject what pairing writes, but the product may need it. So `verify` reports it and still
    succeeds. `refused` is a failed step of `verify --try-writes`.
    """

    kind: Literal["missing", "differs", "beyond", "refused"]
    what: str
    found: str = ""
    wanted: str = ""

    def __str__(self) -> str:
        if self.kind == "missing":
            return f"missing: {self.what}"
        if self.kind == "beyond":
            return f"beyond: {self.what}: {self.found}; the product has added it, and it may reject what pairing writes"
        if self.kind == "refused":
            return f"refused: {self.what}: {self.found}"
        todo = advice(self.what, self.found, self.wanted)
        return f"differs: {self.what}: {self.found}; should be: {self.wanted}{todo and '; ' + todo}"


def verify(database_url: str) -> list[Finding]:
    """Compare tables, functions, roles and rights of a database with the snapshot.

    Returns
    -------
    list[Finding]
        The missing, different and added objects. The list is empty if the database equals the snapshot.

    Raises
    ------
    NewerRelease
        A newer release has migrated the database, so this one cannot judge it.
    MigrateError
        The database cannot be reached or is no Supabase database.
    """
    with connected(readable(database_url)) as connection:
        require_supabase(connection)
        refuse_newer(connection)
        return list(compare(read_facts(connection)))


def read_findings(connection: psycopg.Connection) -> list[Finding]:
    """Return the findings of `verify`, in the caller's transaction. Its `search_path` is empty from then on."""
    return list(compare(collect_facts(connection)))


def checks() -> int:
    """Return how many facts `verify` looks at."""
    return len(expected())


def compare(facts: dict[str, str]) -> Iterator[Finding]:
    """Compare the facts of a database with those that must hold."""
    lost: set[str] = set()
    known = set()
    for wanted in expected():
        known.add(wanted.name)
        if wanted.parent in lost:
            lost.add(wanted.name)
        elif (found := facts.get(wanted.name)) is None:
            lost.add(wanted.name)
            yield Finding("missing", wanted.name)
        elif found != wanted.value:
            yield Finding("differs", wanted.name, found, wanted.value)
    for name in sorted(facts.keys() - known):
        # An additional grant, permissive policy or publication may open what ours close.
        if name.startswith(("privileges of ", "publication ")) or _opens(name, facts[name]) or _hides(name):
            yield Finding("differs", name, facts[name], ABSENT)
        elif f"table {SESSIONS}" not in lost and _rejects(name, facts[name]):
            yield Finding("beyond", name, facts[name])


def _opens(name: str, policy: str) -> bool:
    """Tell whether an additional policy may open rows to the roles of Supabase's API, or to our logins."""
    if not name.startswith("policy "):
        return False
    if not name.endswith(f" on {SESSIONS}"):
        return True
    match = re.match(r"permissive for \w+ to (.*?)(?: using | with check |$)", policy)
    return match is not None and not {"public", "anon", "authenticated", *LOGINS}.isdisjoint(match[1].split(", "))


def _hides(name: str) -> bool:
    """Tell whether one of our tables hides its rows from its owner, whose functions then find nothing."""
    return name.startswith("forced row level security of ") and not name.endswith(f" of {SESSIONS}")


def _rejects(name: str, value: str) -> bool:
    """Tell whether an addition to the table of session rows may reject a row, or change it."""
    kind = name.partition(" ")[0]
    if kind == "policy":
        return value.startswith("restrictive")
    if kind == "column":
        return name.startswith(f"column {SESSIONS}.") and _RISKY_COLUMN.search(value) is not None
    if kind == "index":
        return value.startswith("CREATE UNIQUE INDEX") and f" ON {SESSIONS} " in value
    if kind == "trigger":
        return any(
            f" ON {SESSIONS} " in text and not text.endswith(" (disabled)") for text in value.split(" and CREATE ")
        )
    return kind in _KINDS and name.endswith(f" of {SESSIONS}")
