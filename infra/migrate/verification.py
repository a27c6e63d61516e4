"""Compares a database with what the migrations promise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import psycopg

from .connection import connected, readable, require_supabase
from .expected import expected
from .facts import collect_facts, read_facts
from .release import refuse_newer
from .scope import LOGINS, SESSIONS


@dataclass(frozen=True)
class Finding:
    """One thing that is missing or differs."""

    kind: Literal["missing", "differs"]
    what: str
    found: str = ""
    wanted: str = ""

    def __str__(self) -> str:
        if self.kind == "missing":
            return f"missing: {self.what}"
        return f"differs: {self.what}: {self.found}; should be: {self.wanted}"


def verify(database_url: str) -> list[Finding]:
    """Check table, columns, keys, check, RLS, policies, indexes, trigger, roles, grants and the private schemas.

    Returns
    -------
    list[Finding]
        What is missing or different; empty when all is well.

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
        # Permissive policies and grants add up: one more may open what ours close.
        if name.startswith("privileges of ") or (name.startswith("policy ") and _opens(name, facts[name])):
            yield Finding("differs", name, facts[name], "absent")


def _opens(name: str, policy: str) -> bool:
    """Tell whether a policy beyond ours shows or changes rows for somebody who comes through the API, or for us."""
    if not name.endswith(f" on {SESSIONS}"):
        return True
    match = re.match(r"permissive for \w+ to (.*?)(?: using | with check |$)", policy)
    return match is not None and not {"public", "anon", "authenticated", *LOGINS}.isdisjoint(match[1].split(", "))
