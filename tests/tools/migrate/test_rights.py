"""What users may do with the owner's table through the roles of Supabase's API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors as pg

from infra.migrate import up
from tests.support.projects import PROJECTS, project

ALICE, BOB = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2))


@pytest.fixture(scope="module", params=PROJECTS)
def project_url(request: pytest.FixtureRequest, postgres: Any, standins_template: str) -> Iterator[str]:
    """A migrated project of each kind. The tests commit nothing."""
    with project(postgres, standins_template, request.param) as url:
        up(url)
        yield url


@pytest.fixture
def connection(project_url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection, and a session row each for Alice and Bob."""
    with psycopg.connect(project_url) as connection:
        for user in (ALICE, BOB):
            connection.execute("insert into auth.users (id) values (%s)", (user,))
            connection.execute("insert into public.whatsapp_sessions (user_id) values (%s)", (user,))
        yield connection
        connection.rollback()


def act_as(connection: psycopg.Connection, role: str, user: str = "") -> None:
    claims = f'{{"sub": "{user}", "role": "{role}"}}' if user else ""
    connection.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
    connection.execute(f"set local role {role}".encode())


def owners(connection: psycopg.Connection) -> list[str]:
    return [str(user) for (user,) in connection.execute("select user_id from public.whatsapp_sessions order by 1")]


def test_each_user_sees_and_changes_only_the_own_row(connection: psycopg.Connection) -> None:
    act_as(connection, "authenticated", ALICE)
    assert owners(connection) == [ALICE]
    assert connection.execute("update public.whatsapp_sessions set qr_code = 'x'").rowcount == 1
    assert connection.execute("delete from public.whatsapp_sessions").rowcount == 1
    connection.execute("insert into public.whatsapp_sessions (user_id) values (%s)", (ALICE,))


@pytest.mark.parametrize(
    "statement",
    [
        f"insert into public.whatsapp_sessions (user_id) values ('{BOB}')",
        f"update public.whatsapp_sessions set user_id = '{BOB}'",
        "truncate public.whatsapp_sessions",
        "select from whatsapp_private.attempts",
        "select from whatsapp_private.devices",
        "create table whatsapp_engine.mine (id int)",
        "select from whatsapp_migrations.history",
    ],
)
@pytest.mark.parametrize("role", ["authenticated", "anon"])
def test_no_api_role_may_do_more(connection: psycopg.Connection, role: str, statement: str) -> None:
    act_as(connection, role, ALICE)
    with pytest.raises(pg.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_no_api_role_reads_the_record(connection: psycopg.Connection) -> None:
    act_as(connection, "service_role")
    with pytest.raises(pg.InsufficientPrivilege):
        connection.execute("select from whatsapp_migrations.history")


def test_a_user_without_a_token_sees_no_row(connection: psycopg.Connection) -> None:
    act_as(connection, "authenticated")
    assert owners(connection) == []


def test_anon_may_not_read_the_table(connection: psycopg.Connection) -> None:
    act_as(connection, "anon")
    with pytest.raises(pg.InsufficientPrivilege):
        owners(connection)


def test_an_update_moves_updated_at(connection: psycopg.Connection) -> None:
    connection.execute("update public.whatsapp_sessions set updated_at = '2001-01-01'")
    found = connection.execute("select bool_and(updated_at = now()) from public.whatsapp_sessions").fetchone()
    assert found == (True,)


def test_deleting_a_user_deletes_the_session_row(connection: psycopg.Connection) -> None:
    connection.execute("delete from auth.users where id = %s", (BOB,))
    assert owners(connection) == [ALICE]
