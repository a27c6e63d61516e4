"""CHANGELOG.md in the form of Keep a Changelog. Each release has two more parts: "For operators" and "Support"."""

from __future__ import annotations

import re

UNRELEASED = "Unreleased"
# The parts say what an operator must do, and for how long the release before is supported.
WANTED = ("For operators", "Support")
_SECTION = re.compile(r"^## \[(?P<name>[^]]+)\](?: - (?P<date>\d{4}-\d\d-\d\d))?$", re.M)


class BadChangelogError(Exception):
    """The changelog cannot be released. Its text says what to write."""


def sections(text: str) -> dict[str, str]:
    """Return the text of each section, by the name of its release, as the file has them."""
    heads = list(_SECTION.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return {head["name"]: text[head.end() : end].strip() for head, end in zip(heads, ends, strict=True)}


def missing(section: str) -> list[str]:
    """Return the wanted parts that a section lacks or leaves empty."""
    parts = re.split(r"^### ", section, flags=re.M)[1:]
    filled = {name.strip() for name, _, rest in (part.partition("\n") for part in parts) if rest.strip()}
    return [name for name in WANTED if name not in filled]


def released(text: str, version: str, date: str) -> str:
    """Return the changelog with the unreleased section as the section of a release, and a new empty one above it.

    Raises
    ------
    BadChangelogError
        The unreleased section is missing or incomplete, or the release has a section already.
    """
    found = sections(text)
    if version in found:
        raise BadChangelogError(f"CHANGELOG.md has a section [{version}] already.")
    if not found.get(UNRELEASED):
        raise BadChangelogError(f"CHANGELOG.md has nothing under [{UNRELEASED}]: write what has changed.")
    if lacking := missing(found[UNRELEASED]):
        raise BadChangelogError(f"CHANGELOG.md, [{UNRELEASED}]: write the part {' and the part '.join(lacking)}.")
    return text.replace(f"## [{UNRELEASED}]\n", f"## [{UNRELEASED}]\n\n## [{version}] - {date}\n", 1)
