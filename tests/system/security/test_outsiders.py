"""The roles of Supabase's API (anon, authenticated) reach nothing in the private schemas."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors as pg

from tests.system.security.catalog import FUNCTIONS, REACHABLE, TABLES

ROLES = ("anon", "authenticated")


def reachable(connection: psycopg.Connection, role: str) -> list[str]:
    return [name for (name,) in connection.execute(REACHABLE, {"role": role})]


@pytest.mark.parametrize("role", ROLES)
def test_outsiders_may_use_no_private_object(connection: psycopg.Connection, role: str) -> None:
    assert reachable(connection, role) == []


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("grant usage on schema whatsapp_engine to {}", "schema whatsapp_engine"),
        ("grant create on schema whatsapp_private to public", "schema whatsapp_private"),
        ("create table whatsapp_engine.later (id int); grant insert on whatsapp_engine.later to {}",
         "relation whatsapp_engine.later"),
        ("grant select (jid) on whatsapp_private.devices to {}", "relation whatsapp_private.devices"),
        ("create sequence whatsapp_private.later; grant usage on sequence whatsapp_private.later to public",
         "relation whatsapp_private.later"),
        ("create function whatsapp_private.later() returns int language sql as 'select 1'",
         "function whatsapp_private.later()"),
    ],
)  # fmt: skip
def test_a_right_granted_later_is_found(connection: psycopg.Connection, role: str, change: str, name: str) -> None:
    connection.execute(change.format(role).encode())
    assert reachable(connection, role) == [name]


@pytest.mark.parametrize("role", ROLES)
def test_postgres_itself_refuses_every_table(connection: psycopg.Connection, role: str) -> None:
    tables = [name for (name,) in connection.execute(TABLES)]
    assert {"whatsapp_private.attempts", "whatsapp_private.devices", "whatsapp_engine.whatsmeow_device"} <= set(tables)
    for table in tables:
        for statement in (f"select from {table}", f"delete from {table}", f"insert into {table} default values"):
            with connection.transaction(force_rollback=True):
                connection.execute(f"set local role {role}".encode())
                with pytest.raises(pg.InsufficientPrivilege):
                    connection.execute(statement.encode())


@pytest.mark.parametrize("role", ROLES)
def test_postgres_itself_refuses_every_function(connection: psycopg.Connection, role: str) -> None:
    calls = [call for (call,) in connection.execute(FUNCTIONS)]
    assert len(calls) > 20
    for call in calls:
        with connection.transaction(force_rollback=True):
            connection.execute(f"set local role {role}".encode())
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(f"select {call}".encode())
