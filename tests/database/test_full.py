"""All connections are in use: a call waits for a free one, within its time limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from whatsapp_pairing.core.backoff import Backoff
from whatsapp_pairing.core.errors import DatabaseUnavailable
from whatsapp_pairing.runtime import database as module
from whatsapp_pairing.runtime.database import Connection, Database

from tests.support import pgbouncer
from tests.support.logins import login
from tests.support.pooler import Pooler, pooling
from tests.support.repositories import World
from tests.support.stack import PATIENCE_SECONDS

ROLE = "crowded"

# The texts by which each server says so. PgBouncer and Supavisor use the same SQLSTATEs for many other errors.
FULL = {
    "Postgres": ("53300", 'too many connections for role "crowded"'),
    "Postgres in Spanish": ("53300", "demasiadas conexiones para el rol «crowded»"),
    "PgBouncer": ("08P01", "no more connections allowed (max_client_conn)"),
    "Supavisor": ("XX000", "(EMAXCONN) max client connections reached, limit: 600"),
    "Supavisor for sessions": ("XX000", "(EMAXCONNSESSION) max clients reached in session mode"),
    "Supavisor of old": ("XX000", "MaxClientsInSessionMode: max clients reached"),
}
OTHER = {
    "password": ("28P01", 'password authentication failed for user "too many connections for"'),
    "password through PgBouncer": ("08P01", "password authentication failed"),
    "tenant": ("XX000", "(ENOTFOUND) Tenant or user not found"),
    "database": ("3D000", 'database "max_client_conn" does not exist'),
}


class Pauses(Backoff):
    """Notes each pause, and signals the first one."""

    def __init__(self, *arguments: float) -> None:
        super().__init__(*arguments)
        self.given: list[float] = []
        self.begun = threading.Event()

    def next(self) -> float:
        self.given.append(super().next())
        self.begun.set()
        return self.given[-1]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    """The pauses of the call in this test."""
    pauses = Pauses(0.01, 0.2, 0.5)
    monkeypatch.setattr(module, "Backoff", lambda *_: pauses)
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", PATIENCE_SECONDS)
    return pauses


@pytest.fixture
def crowded(world: World) -> Iterator[str]:
    """The name of a role that may have only one connection."""
    name = psycopg.conninfo.conninfo_to_dict(world.url)["dbname"]
    world.sql(f"CREATE ROLE {ROLE} LOGIN CONNECTION LIMIT 1; GRANT CONNECT ON DATABASE {name} TO {ROLE}")
    yield ROLE
    world.sql(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '{ROLE}'")
    world.sql(f"REVOKE CONNECT ON DATABASE {name} FROM {ROLE}; DROP ROLE {ROLE}")


def me(connection: Connection) -> str:
    row = connection.execute("SELECT session_user AS name").fetchone()
    assert row is not None
    name: str = row["name"]
    return name


def answers_when(pauses: Pauses, url: str, free: Callable[[], object]) -> str:
    """Start a call. When the server has refused it, free a connection. Return the call's answer."""
    database = Database(lambda: url)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(database.run, me)
        try:
            assert pauses.begun.wait(PATIENCE_SECONDS)
        finally:
            free()
        name = answer.result()
    database.close()
    return name


def gives_up(pauses: Pauses, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let a call wait until its time is up, and return the message of its error."""
    patience = 1.0
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", patience)
    with pytest.raises(DatabaseUnavailable) as refused:
        Database(lambda: url).run(me)
    assert len(pauses.given) > 1
    assert sum(pauses.given[:-1]) < patience
    assert refused.value.__cause__ is None
    return str(refused.value)


@pytest.mark.direct
def test_a_call_waits_until_the_role_may_connect(pauses: Pauses, world: World, crowded: str) -> None:
    url = login(world.url, crowded)
    other = psycopg.connect(url)
    assert answers_when(pauses, url, other.close) == crowded


@pytest.mark.direct
def test_a_call_waits_until_the_database_has_room(pauses: Pauses, world: World) -> None:
    url, name = login(world.url, "whatsapp_api"), psycopg.conninfo.conninfo_to_dict(world.url)["dbname"]
    world.sql(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    assert answers_when(pauses, url, lambda: world.sql(f"ALTER DATABASE {name} CONNECTION LIMIT -1")) == "whatsapp_api"


@pytest.mark.direct
def test_a_call_ends_in_time_when_no_connection_is_freed(
    pauses: Pauses, world: World, crowded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = login(world.url, crowded)
    with psycopg.connect(url):
        assert gives_up(pauses, url, monkeypatch) == "TooManyConnections 53300"


@pytest.fixture
def narrow(transaction_pooler: Any, postgres: Any) -> Iterator[pgbouncer.PgBouncer]:
    """A PgBouncer that accepts one client."""
    with pgbouncer.pooling(postgres.port, max_client_conn=1) as pooler:
        yield pooler


def through(pooler: pgbouncer.PgBouncer, world: World, role: str) -> str:
    return login(pooler.url(str(psycopg.conninfo.conninfo_to_dict(world.url)["dbname"])), role)


@pytest.mark.direct
def test_a_call_waits_until_pgbouncer_has_room(pauses: Pauses, world: World, narrow: pgbouncer.PgBouncer) -> None:
    url = through(narrow, world, "whatsapp_api")
    assert answers_when(pauses, url, psycopg.connect(url).close) == "whatsapp_api"


@pytest.mark.direct
def test_a_call_ends_in_time_when_pgbouncer_stays_full(
    pauses: Pauses, world: World, narrow: pgbouncer.PgBouncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = through(narrow, world, "whatsapp_api")
    with psycopg.connect(url):
        assert gives_up(pauses, url, monkeypatch) == "TooManyConnections 53300"


@pytest.mark.direct
def test_a_call_waits_until_pgbouncer_gets_a_connection(
    pauses: Pauses, world: World, crowded: str, transaction_pooler: Any, postgres: Any
) -> None:
    """Postgres refuses PgBouncer, and PgBouncer passes the refusal on."""
    other = psycopg.connect(login(world.url, crowded))
    with pgbouncer.pooling(postgres.port, users=(crowded,)) as pooler:
        assert answers_when(pauses, through(pooler, world, crowded), other.close) == crowded


@pytest.mark.direct
def test_a_password_that_pgbouncer_refuses_is_not_tried_again(
    pauses: Pauses, world: World, transaction_pooler: Any, postgres: Any
) -> None:
    with pgbouncer.pooling(postgres.port, auth_type="md5") as pooler:
        url = through(pooler, world, "whatsapp_api").replace("@", ":wrong@")
        with pytest.raises(DatabaseUnavailable):
            Database(lambda: url).run(me)
    assert pauses.given == []


@pytest.fixture
def pooler(postgres: Any) -> Iterator[Pooler]:
    """A pooler that refuses logins on demand."""
    with pooling(postgres.port) as pooler:
        yield pooler


def before(world: World, postgres: Any, pooler: Pooler) -> Database:
    return Database(lambda: login(world.url, "whatsapp_worker").replace(str(postgres.port), str(pooler.port)))


@pytest.mark.direct
@pytest.mark.parametrize("said", FULL.values(), ids=FULL)
def test_a_full_server_is_known_by_its_code(
    pauses: Pauses, world: World, postgres: Any, pooler: Pooler, said: tuple[str, str]
) -> None:
    pooler.refusals = [said, said]
    database = before(world, postgres, pooler)
    assert database.run(me) == "whatsapp_worker"
    assert (pooler.clients, len(pauses.given)) == (3, 2)
    database.close()


@pytest.mark.direct
@pytest.mark.parametrize("said", OTHER.values(), ids=OTHER)
def test_another_refusal_is_not_tried_again(
    pauses: Pauses, world: World, postgres: Any, pooler: Pooler, said: tuple[str, str]
) -> None:
    pooler.refusals = [said]
    with pytest.raises(DatabaseUnavailable):
        before(world, postgres, pooler).run(me)
    assert (pooler.clients, pauses.given) == (1, [])


@pytest.mark.direct
def test_a_pooler_full_at_the_first_statement_is_asked_again(
    pauses: Pauses, world: World, postgres: Any, pooler: Pooler
) -> None:
    pooler.hang_ups = ["53300"]
    database = before(world, postgres, pooler)
    assert database.run(me) == "whatsapp_worker"
    assert (pooler.clients, len(pauses.given)) == (2, 1)
    database.close()


def test_the_pauses_of_a_call_end_within_its_patience() -> None:
    most = module._LONGEST_PAUSE_SECONDS
    assert module._FIRST_PAUSE_SECONDS < most < module._PATIENCE_SECONDS / 4
