"""The database connection replaces itself after a failure, and its errors contain no secret."""

from __future__ import annotations

import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import PipelineStatus
from whatsapp_pairing.core.errors import DatabaseRefused, DatabaseUnavailable, PairingError
from whatsapp_pairing.runtime import database as module
from whatsapp_pairing.runtime.database import Connection, Database
from whatsapp_pairing.session.sessions import Sessions

from infra.template.reading import read_template
from tests.support.logins import backend, login
from tests.support.pgbouncer import PgBouncer
from tests.support.repositories import World
from tests.support.stack import ROOT


@pytest.fixture
def database(world: World) -> Database:
    """A connection of its own."""
    return world.new_database("whatsapp_worker")


@pytest.fixture
def renew(way: Any) -> Iterator[Callable[[], None]]:
    """Let PgBouncer, if it is used, open new connections, so that changed settings of the database apply."""
    renew = way.reconnect if isinstance(way, PgBouncer) else lambda: None
    yield renew
    renew()


def test_the_connection_is_kept(database: Database) -> None:
    assert database.run(backend) == database.run(backend)


def test_a_connection_that_died_between_two_calls_is_replaced(world: World, database: Database) -> None:
    first = database.run(backend)
    assert world.value("SELECT pg_terminate_backend(%s, 5000)", first)
    assert database.run(backend) != first


def test_a_connection_that_dies_twice_works_at_the_next_call(world: World, database: Database) -> None:
    calls = []

    def suicide(connection: Connection) -> None:
        calls.append(backend(connection))
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(DatabaseUnavailable):
        database.run(suicide)
    assert len(calls) == 2  # the answer may have been lost, so the call is repeated once
    database.run(backend)
    with pytest.raises(DatabaseUnavailable):
        database.run(suicide)
    assert len(calls) == 4
    assert database.run(backend) not in calls


def test_a_connection_that_falls_silent_is_replaced(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NO_ANSWER_SECONDS", 0.5)
    frozen = database.run(backend)
    os.kill(frozen, signal.SIGSTOP)
    try:
        assert database.run(backend) != frozen
    finally:
        os.kill(frozen, signal.SIGCONT)


def test_a_server_silent_during_a_statement_is_unavailable(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_NO_ANSWER_SECONDS", 0.5)
    frozen = []

    def freeze(connection: Connection) -> None:
        frozen.append(backend(connection))
        os.kill(frozen[-1], signal.SIGSTOP)
        backend(connection)

    try:
        with pytest.raises(DatabaseUnavailable):
            database.run(freeze)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert len(frozen) == 2
    assert database.run(backend) not in frozen


def test_the_patience_is_shorter_than_every_timeout() -> None:
    template = read_template(ROOT / "template.yaml", {}, {"SupabaseUrl": "https://x.test", "AllowedOrigins": ""})
    timeouts = {one.short_name: one.timeout for one in template.functions.values()}
    assert module._NO_ANSWER_SECONDS < module._PATIENCE_SECONDS < min(timeouts.values())


def test_the_next_statement_waits_for_the_last_answer(database: Database) -> None:
    """Otherwise Supabase's pooler could give the second answer to another client."""
    assert database.run(lambda connection: connection.pgconn.pipeline_status) == PipelineStatus.OFF


def test_a_text_is_one_exchange_and_returns_its_last_row(database: Database) -> None:
    text = "BEGIN; SET LOCAL lock_timeout = '1s'; SELECT 1 AS one; COMMIT; SELECT %(two)s AS two;"
    assert database.run_text(text, {"two": 2}) == {"two": 2}
    shown = database.run(lambda connection: connection.execute("SHOW lock_timeout").fetchone())
    assert shown == {"lock_timeout": "3s"}


@pytest.mark.parametrize("refused", ["SELECT 1 / 0", "SELECT pg_sleep(1)", "SELECT nothing"])
def test_a_refused_text_is_undone_and_keeps_the_connection(world: World, database: Database, refused: str) -> None:
    pid, attempt_id = database.run(backend), world.claim()
    clear = "UPDATE whatsapp_private.attempts SET task_token = NULL WHERE id = %(id)s"
    world.sql("UPDATE whatsapp_private.attempts SET task_token = 'kept', ended_at = now(), outcome = 'cancelled'")
    text = f"BEGIN; SET LOCAL statement_timeout = '100ms'; {clear}; {refused}; COMMIT; SELECT 1 AS one"
    with pytest.raises(DatabaseRefused):
        database.run_text(text, {"id": attempt_id})
    assert world.attempt(attempt_id)["task_token"] == "kept"
    assert database.run(backend) == pid


def test_an_error_of_the_caller_keeps_the_connection(database: Database) -> None:
    pid = database.run(backend)

    def fail(connection: Connection) -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        database.run(fail)
    assert database.run(backend) == pid


@pytest.mark.parametrize("role", ["whatsapp_api", "whatsapp_worker", "whatsapp_engine"])
def test_a_roles_settings_beat_the_databases(world: World, renew: Callable[[], None], role: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(world.url)["dbname"]
    others = {
        "datestyle": "German", "default_transaction_isolation": "serializable", "statement_timeout": "0",
        "lock_timeout": "0", "row_security": "off", "idle_in_transaction_session_timeout": "0",
    }  # fmt: skip
    for setting, value in others.items():
        world.sql(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    renew()
    try:
        with psycopg.connect(login(world.url, role)) as connection:
            found = {it: connection.execute(f"SHOW {it}".encode()).fetchone() for it in others}  # type: ignore[arg-type]
    finally:
        for setting in others:
            world.sql(f"ALTER DATABASE {name} RESET {setting}")
    engine = role == "whatsapp_engine"
    assert found == {
        "datestyle": ("ISO, MDY",), "default_transaction_isolation": ("read committed",),
        "statement_timeout": ("30s" if engine else "4s",), "lock_timeout": ("10s" if engine else "3s",),
        "row_security": ("on",), "idle_in_transaction_session_timeout": ("5s",),
    }  # fmt: skip


def test_a_status_does_not_depend_on_the_databases_settings(world: World, renew: Callable[[], None]) -> None:
    name = psycopg.conninfo.conninfo_to_dict(world.url)["dbname"]
    user = world.user()
    world.claim(user)
    world.sql(f"ALTER DATABASE {name} SET datestyle = 'German'")
    world.sql(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    renew()
    try:
        database = world.new_database("whatsapp_api")
        assert Sessions(database).get(user).status == "connecting"
    finally:
        world.sql(f"ALTER DATABASE {name} RESET ALL")


def test_one_statement_is_one_exchange(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.run(backend)
    asked: list[str] = []
    execute = Connection.execute

    def counted(self: Connection, query: Any, *arguments: Any, **named: Any) -> Any:
        asked.append(query)
        return execute(self, query, *arguments, **named)

    monkeypatch.setattr(Connection, "execute", counted)
    database.run(backend)
    assert len(asked) == 1


def test_a_server_that_only_reads_is_unavailable(world: World, database: Database, renew: Callable[[], None]) -> None:
    """After a failover, an old connection may lead to a read-only replica."""
    update = "UPDATE whatsapp_private.attempts SET task_token = NULL"
    name = psycopg.conninfo.conninfo_to_dict(world.url)["dbname"]
    world.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    renew()
    try:
        with pytest.raises(DatabaseUnavailable):
            database.run(lambda connection: connection.execute(update))
    finally:
        world.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        renew()
    database.run(lambda connection: connection.execute(update))


def test_a_statement_that_takes_too_long_is_asked_once(world: World, database: Database) -> None:
    """A second try would take as long again, and the connection still works."""
    pid, asked = database.run(backend), []

    def wait(connection: Connection) -> None:
        asked.append(backend(connection))
        connection.execute("SELECT pg_advisory_xact_lock(1), set_config('lock_timeout', '3s', true)")

    with psycopg.connect(world.url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(1)")
        with pytest.raises(DatabaseUnavailable, match="LockNotAvailable 55P03"):
            database.run(wait)
        holder.rollback()
    assert asked == [pid]
    assert database.run(backend) == pid


def test_nothing_is_prepared_on_the_server(database: Database) -> None:
    for _ in range(12):  # by default, psycopg prepares a statement at its fifth run
        database.run(lambda connection: connection.execute("SELECT 1 AS one WHERE %s", (True,)).fetchone())
    prepared = database.run(
        lambda connection: connection.execute("SELECT count(*) AS n FROM pg_prepared_statements").fetchone()
    )
    assert prepared == {"n": 0}


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound but does not listen, so that no other process can take it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_server_that_refuses_is_unavailable(closed_port: int) -> None:
    database = Database(lambda: f"postgresql://me:topsecret@127.0.0.1:{closed_port}/db")
    with pytest.raises(DatabaseUnavailable) as refused:
        database.run(backend)
    assert "topsecret" not in "".join(traceback.format_exception(refused.value))
    assert str(closed_port) not in refused.value.message


def test_the_url_is_asked_for_again_with_every_connection(world: World) -> None:
    urls = ["postgresql://nobody:old@127.0.0.1:1/db", world.url]
    database = Database(lambda: urls.pop(0))
    with pytest.raises(DatabaseUnavailable):
        database.run(backend)
    assert database.run(backend)
    database.close()


def test_a_url_as_it_is_copied_connects(world: World) -> None:
    url = world.url.replace("postgresql://postgres@", "postgres://postgres:p@s/s#%?@")
    database = Database(lambda: f'\ufeff"{url}?pgbouncer=true&pool_timeout=0"\n')
    assert database.run(backend)
    database.close()


@pytest.mark.parametrize("url", ["postgresql//me:topsecret@host/db", "postgresql://me:topsecret@host:port/db"])
def test_a_malformed_url_is_not_quoted(url: str) -> None:
    with pytest.raises(PairingError) as refused:
        Database(lambda: url).run(backend)
    assert "topsecret" not in "".join(traceback.format_exception(refused.value))


def test_a_connection_may_be_closed_twice(database: Database) -> None:
    database.run(backend)
    database.close()
    database.close()
    assert database.run(backend)
