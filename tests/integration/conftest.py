"""One migrated database for the session, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from .world import World, connect


@pytest.fixture(scope="session")
def admin(postgres: Any, migrated_template: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """The superuser's connection to a database with every table."""
    with postgres.database(migrated_template) as url, connect(url) as connection:
        yield connection


@pytest.fixture
def world(postgres: Any, admin: psycopg.Connection[dict[str, Any]]) -> Iterator[World]:
    """An empty database and the repositories on it."""
    world = World(postgres.url(admin.info.dbname), admin)
    world.empty()
    yield world
    world.close()
