"""The whole system with a Supabase project of the test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.jwks import Project
from tests.support.postgres import Postgres
from tests.support.stack import RunningSystem


@contextmanager
def serving_users_of(project: Project, postgres: Postgres, folder: Path, *parameters: str) -> Iterator[RunningSystem]:
    """Run the system for the users of this project, with these parameters of the template (``Name=value``)."""
    given = [part for parameter in (f"SupabaseUrl={project.url}", *parameters) for part in ("--parameter", parameter)]
    running = RunningSystem(folder, "--database-url", postgres.url(postgres.create()), "--whatsapp", "live", *given)
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0
