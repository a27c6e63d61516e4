"""A real Postgres for the tests: one server per session, one database per test.

``postgres``      the server; ``.url(database)`` names a database of it
``database_url``  a fresh database with Supabase's stand-ins, no migration applied
``migrated_url``  a fresh database with every migration applied
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from infra.postgres import SUPABASE
from infra.postgres.account import PLACE
from tests.support.postgres import Postgres, serving
from tests.support.stack import RunningSystem

# Each run tries the same examples, without a time limit. So a test fails only because of a change, and never because of
# chance or a busy machine. ``make test ARGS=--hypothesis-profile=default`` tries other examples each time.
settings.register_profile("steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's server."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def standins_template(postgres: Postgres) -> str:
    """The name of a database to copy, with Supabase's stand-ins."""
    name = postgres.create()
    with postgres.connect(name) as connection:
        connection.execute(SUPABASE.read_bytes())
    return name


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres, standins_template: str) -> str:
    """The name of a database to copy, with every migration applied."""
    from infra.migrate import up

    name = postgres.create(standins_template)
    up(postgres.url(name))
    return name


@pytest.fixture
def database_url(postgres: Postgres, standins_template: str) -> Iterator[str]:
    """A fresh database with Supabase's stand-ins and no migration applied."""
    with postgres.database(standins_template) as url:
        yield url


@pytest.fixture
def migrated_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """A fresh database with every migration applied."""
    with postgres.database(migrated_template) as url:
        yield url


@pytest.fixture(scope="session")
def stack(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """The whole system with the default windows, on a database of its own."""
    with _running(postgres, tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def runner_url(stack: RunningSystem) -> Iterator[str]:
    """The base URL of the local system, with default knobs in the sandbox."""
    stack.sandbox.reset_knobs()
    yield stack.url
    stack.sandbox.reset_knobs()


@contextmanager
def _running(postgres: Postgres, data_dir: Path, *arguments: str) -> Iterator[RunningSystem]:
    running = RunningSystem(data_dir, "--database-url", postgres.url(postgres.create()), *arguments)
    try:
        yield running
    finally:
        assert running.stop() == 0


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_in_the_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remove the data of embedded databases. Under root, it is outside of pytest's folders."""
    yield
    for link in tmp_path_factory.getbasetemp().rglob("postgres*"):
        if link.is_symlink() and link.resolve().parent == PLACE:
            shutil.rmtree(link.resolve(), ignore_errors=True)
