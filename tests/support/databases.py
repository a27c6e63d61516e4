"""One migrated database for the session, emptied before each test; directly and through PgBouncer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support import pgbouncer
from tests.support.world import World, connect

WAYS = ("direct", "pgbouncer")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that has a world through each way, except those that are marked ``direct``."""
    if "way" in metafunc.fixturenames and not any(metafunc.definition.iter_markers("direct")):
        metafunc.parametrize("way", WAYS, indirect=True, scope="session")


@pytest.fixture(scope="session")
def admin(postgres: Any, migrated_template: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """The superuser's connection to a database with every table."""
    with postgres.database(migrated_template) as url, connect(url) as connection:
        yield connection


@pytest.fixture(scope="session")
def transaction_pooler(postgres: Any) -> Iterator[pgbouncer.PgBouncer]:
    """A PgBouncer before the tests' Postgres."""
    pgbouncer.require()
    with pgbouncer.pooling(postgres.port) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def way(request: pytest.FixtureRequest, postgres: Any) -> Any:
    """The server that the functions log in to: Postgres itself, or PgBouncer."""
    pooled = getattr(request, "param", "direct") == "pgbouncer"
    return request.getfixturevalue("transaction_pooler") if pooled else postgres


@pytest.fixture
def world(way: Any, admin: psycopg.Connection[dict[str, Any]]) -> Iterator[World]:
    """An empty database and the repositories on it."""
    world = World(way.url(admin.info.dbname), admin)
    world.empty()
    yield world
    world.close()
