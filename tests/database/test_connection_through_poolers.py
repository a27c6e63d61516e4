"""The database connection through a pooler that hangs up, or that has no free connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from whatsapp_pairing.core.errors import DatabaseUnavailable
from whatsapp_pairing.runtime import database as module
from whatsapp_pairing.runtime.database import Database

from tests.support.logins import backend, login
from tests.support.pooler import Pooler, pooling
from tests.support.repositories import World


@pytest.fixture
def pooler(postgres: Any) -> Iterator[Pooler]:
    """A pooler in front of the tests' Postgres."""
    with pooling(postgres.port) as pooler:
        yield pooler


@pytest.fixture
def pooled(pooler: Pooler, postgres: Any, world: World) -> Iterator[Database]:
    """A connection through the pooler."""
    database = Database(lambda: login(world.url, "whatsapp_worker").replace(str(postgres.port), str(pooler.port)))
    yield database
    database.close()


@pytest.mark.direct
@pytest.mark.parametrize("sqlstate", ["57P01", "XX000", "08P01"])
def test_a_pooler_that_hangs_up_is_asked_again(pooler: Pooler, pooled: Database, sqlstate: str) -> None:
    first = pooled.run(backend)
    pooler.hang_ups = [sqlstate]
    assert pooled.run(backend) != first

    pooler.hang_ups = [sqlstate, sqlstate]
    with pytest.raises(DatabaseUnavailable):
        pooled.run(backend)


@pytest.mark.direct
def test_a_pooler_without_a_free_connection_is_given_up_in_time(
    pooler: Pooler, pooled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, patience = 4.0, 4.5
    monkeypatch.setattr(module, "_NO_ANSWER_SECONDS", silent)
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", patience)
    pooled.run(backend)
    pooler.silent = True
    waited = []

    def wait(self: Any, gen: Any, interval: float, timeout: float) -> Any:
        waited.append(timeout)
        return waits(self, gen, interval, timeout)

    waits = psycopg.Connection.wait
    monkeypatch.setattr(psycopg.Connection, "wait", wait)
    with pytest.raises(DatabaseUnavailable):
        pooled.run(backend)
    assert silent - 1 < max(waited) <= silent
    assert waited[-1] <= patience - silent  # the second try has only the rest of the time
