"""The two kinds of Supabase projects: default privileges grant every right on a new table, or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.migrations import query

PROJECTS = ("old", "new")
NEW = Path(__file__).with_name("new_project.sql")


@contextmanager
def project(postgres: Any, standins_template: str, kind: str) -> Iterator[str]:
    """A database like a Supabase project of this kind: its URL. No migration is applied."""
    with postgres.database(standins_template) as url:
        if kind == "new":
            query(url, NEW.read_text())
        yield url
