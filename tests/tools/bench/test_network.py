"""The counting proxy counts round trips, not messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.bench.network import Network, network

Connection = psycopg.Connection[Any]
LONG = "x" * 1_000_000


@pytest.fixture
def between(postgres: Any) -> Iterator[Network]:
    with network(postgres.port) as between:
        yield between


@pytest.fixture
def connection(between: Network, postgres: Any) -> Iterator[Connection]:
    with psycopg.connect(between.url(postgres.url(), "postgres"), autocommit=True) as connection:
        yield connection


def one_statement(connection: Connection) -> None:
    connection.execute("SELECT 1")


def one_with_a_value(connection: Connection) -> None:
    connection.execute("SELECT %s::text", ("value",))


def long_question_and_answer(connection: Connection) -> None:
    assert connection.execute("SELECT %s::text", (LONG,)).fetchone() == (LONG,)


def a_transaction(connection: Connection) -> None:
    with connection.transaction():
        connection.execute("SELECT 1")


def a_refused_statement(connection: Connection) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / %s", (0,))


def several_statements_in_one_text(connection: Connection) -> None:
    psycopg.ClientCursor(connection).execute("BEGIN; SELECT %s; COMMIT", (1,))


def a_pipeline(connection: Connection) -> None:
    with connection.pipeline():
        for _ in range(3):
            connection.execute("SELECT 1")


def a_prepared_statement_twice(connection: Connection) -> None:
    for _ in range(2):
        connection.execute("SELECT 1", prepare=True)


@pytest.mark.parametrize(
    ("work", "exchanges"),
    [
        (one_statement, 1),
        (one_with_a_value, 1),
        (long_question_and_answer, 1),
        (a_transaction, 3),
        (a_refused_statement, 1),
        (several_statements_in_one_text, 1),
        (a_pipeline, 1),
        (a_prepared_statement_twice, 3),
    ],
)
def test_exchanges_are_counted(
    between: Network, connection: Connection, work: Callable[[Connection], None], exchanges: int
) -> None:
    before = between.exchanges
    work(connection)
    assert between.exchanges - before == exchanges
    assert between.logins == 1


@pytest.mark.parametrize("delay_seconds", [0, 0.01])
def test_connections_at_once_are_all_counted(between: Network, postgres: Any, delay_seconds: float) -> None:
    between.delay_seconds = delay_seconds
    url = between.url(postgres.url(), "postgres")
    connections = [psycopg.connect(url, autocommit=True) for _ in range(3)]
    for connection in connections:
        with connection:
            connection.execute("SELECT 1")
    assert (between.exchanges, between.logins) == (3, 3)
