"""Compares a database with what the migrations promise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import psycopg

from infra.migrate.connection import connected, readable, require_supabase
from infra.migrate.expected import expected
from infra.migrate.facts import collect_facts, read_facts
from infra.migrate.release import refuse_newer
from infra.migrate.scope import LOGINS, SESSIONS

# A column of the product that may refuse our insert: not null without a default, generated, or with a type or default
# that may refuse. facts.py writes these words.
_RISKY_COLUMN = re.compile(r" not null$| \((generated|domain|default needs .*)\)$")

# Kinds of facts that are always reported. Of columns, indexes, triggers and policies, only some are (`_refuses`).
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
"""The wanted value of a grant, policy or publication that opens what ours close."""


@dataclass(frozen=True)
class Finding:
    """One thing that is missing, differs, or was added by the product to its table; or a refused step of a trial.

    An addition (kind `beyond`) may refuse what pairing writes, but the product may need it. So `verify` reports it and
    still succeeds.
    """

    kind: Literal["missing", "differs", "beyond", "refused"]
    what: str
    found: str = ""
    wanted: str = ""

    def __str__(self) -> str:
        if self.kind == "missing":
            return f"missing: {self.what}"
        if self.kind == "beyond":
            return f"beyond: {self.what}: {self.found}; it is the product's, and may refuse what pairing writes"
        if self.kind == "refused":
            return f"refused: {self.what}: {self.found}"
        return f"differs: {self.what}: {self.found}; should be: {self.wanted}"


def verify(database_url: str) -> list[Finding]:
    """Check table, columns, keys, check, RLS, policies, indexes, trigger, roles, grants and the private schemas.

    Returns
    -------
    list[Finding]
        The findings: missing, different and added objects. The list is empty if the database equals the snapshot.

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
    """Do what `verify` does within the caller's transaction, whose `search_path` is empty afterwards."""
    return list(compare(collect_facts(connection)))


def checks() -> int:
    """How many facts `verify` looks at."""
    return len(expected())


def compare(facts: dict[str, str]) -> Iterator[Finding]:
    """Compare facts, by name, with what must hold."""
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
        # Permissive policies and grants add up: one more may open what ours close. So does a publication.
        if name.startswith(("privileges of ", "publication ")) or _opens(name, facts[name]) or _hides(name):
            yield Finding("differs", name, facts[name], ABSENT)
        elif f"table {SESSIONS}" not in lost and _refuses(name, facts[name]):
            yield Finding("beyond", name, facts[name])


def _opens(name: str, policy: str) -> bool:
    """Tell whether a policy beyond ours shows or changes rows for somebody who comes through the API, or for us."""
    if not name.startswith("policy "):
        return False
    if not name.endswith(f" on {SESSIONS}"):
        return True
    match = re.match(r"permissive for \w+ to (.*?)(?: using | with check |$)", policy)
    return match is not None and not {"public", "anon", "authenticated", *LOGINS}.isdisjoint(match[1].split(", "))


def _hides(name: str) -> bool:
    """Tell whether a table of ours hides its rows from the functions of its owner."""
    return name.startswith("forced row level security of ") and not name.endswith(f" of {SESSIONS}")


def _refuses(name: str, value: str) -> bool:
    """Tell whether something on the owner's table may keep a row from being written, or change it."""
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
