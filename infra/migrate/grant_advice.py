"""Says which GRANT and REVOKE mend a finding of `verify` about the rights to the session rows."""

from __future__ import annotations

import re

from infra.migrate.checked_objects import SESSIONS

_RIGHTS = re.compile(rf"privileges of (\w+) on {re.escape(SESSIONS)}")
_USAGE = re.compile(r"usage of schema public by (\w+)")


def advice(what: str, found: str, wanted: str) -> str:
    """Return what a person can do about a difference; empty when it is about other things.

    Parameters
    ----------
    what
        The name of the fact.
    found, wanted
        Its values. A list of rights is in the order of the alphabet, and ``none`` is an empty list.
    """
    if usage := _USAGE.fullmatch(what):
        return f"as the owner of the schema: GRANT USAGE ON SCHEMA public TO {usage[1]};"
    if not (rights := _RIGHTS.fullmatch(what)):
        return ""
    role, has, needs = rights[1], _rights(found), _rights(wanted)
    steps = ["as the owner of the table:"]
    if missing := needs - has:
        steps.append(f"GRANT {_written(missing)} ON {SESSIONS} TO {role};")
    if further := has - needs:
        steps.append(f"REVOKE {_written(further)} ON {SESSIONS} FROM {role};")
        steps.append("if a right stays, another role has granted it, or passes it on to its members (\\dp names both)")
    return " ".join(steps)


def _rights(value: str) -> set[str]:
    return set() if value == "none" else set(value.split(", "))


def _written(rights: set[str]) -> str:
    return ", ".join(sorted(rights)).upper()
