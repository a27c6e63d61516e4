"""Fixtures: one migrated database for the session, which each test finds empty, with and without PgBouncer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.support import pgbouncer
from tests.support.logins import connect
from tests.support.repositories import World

WAYS = ("direct", "pgbouncer")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses ``world`` with and without PgBouncer. A test marked ``direct`` runs without it only."""
    if "way" in metafunc.fixturenames and not any(metafunc.definition.iter_markers("direct")):
        metafunc.parametrize("way", WAYS, indirect=True, scope="session")


@pytest.fixture(scope="session")
def admin(postgres: Any, migrated_template: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """The superuser's connection to a migrated database."""
    with postgres.database(migrated_template) as url, connect(url) as connection:
        yield connection


@pytest.fixture(scope="session")
def transaction_pooler(postgres: Any) -> Iterator[pgbouncer.PgBouncer]:
    """A PgBouncer in front of the tests' Postgres."""
    pgbouncer.require()
    with pgbouncer.pooling(postgres.port) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def way(request: pytest.FixtureRequest, postgres: Any) -> Any:
    """The server that the repositories log in to: Postgres or PgBouncer."""
    pooled = getattr(request, "param", "direct") == "pgbouncer"
    return request.getfixturevalue("transaction_pooler") if pooled else postgres


@pytest.fixture
def world(way: Any, admin: psycopg.Connection[dict[str, Any]]) -> Iterator[World]:
    """An empty database and the repositories on it."""
    world = World(way.url(admin.info.dbname), admin)
    world.empty()
    yield world
    world.close()
