"""Connections to the tests' database: as a login role, as a user of the product, as the administrator."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row
from whatsapp_pairing.runtime.database import Connection


def login(url: str, role: str) -> str:
    """The URL of the same database for another role. The tests' server asks for no password."""
    return url.replace("postgres@", f"{role}@")


def act_as(connection: psycopg.Connection[Any], claims: str) -> None:
    """Run the rest of the transaction as PostgREST runs a user's request, with these claims of the access token."""
    connection.execute(
        "SELECT set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)", (claims,)
    )


def connect(url: str) -> psycopg.Connection[dict[str, Any]]:
    """The superuser's connection. Several worlds may use it, one after the other."""
    return psycopg.connect(url, autocommit=True, row_factory=dict_row)


def backend(connection: Connection) -> int:
    """The process id of the connection's server process."""
    row = connection.execute("SELECT pg_backend_pid() AS pid").fetchone()
    assert row is not None
    pid: int = row["pid"]
    return pid
