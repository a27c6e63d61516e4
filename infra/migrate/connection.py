"""Connections for migrations: no session state, no password in any message, never a long wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict
from whatsapp_pairing.database_url import normalised
from whatsapp_pairing.errors import MisconfiguredError

from .errors import NotReachable, NotSupabase

_CONNECT_SECONDS = 10

_SUPABASE_HAS = """
    select 'the schema auth' where to_regnamespace('auth') is null
    union all select 'the table auth.users' where to_regclass('auth.users') is null
    union all select 'the function auth.uid()' where to_regprocedure('auth.uid()') is null
    union all
    select 'the role ' || name from unnest(array['anon', 'authenticated', 'service_role']) as name
    where to_regrole(name) is null
"""


def readable(database_url: str) -> str:
    """Return the URL in the form that every driver reads alike.

    Raises
    ------
    NotReachable
        A part of it is missing or wrong. The message names the part and holds none of it.
    """
    try:
        return normalised(database_url)
    except MisconfiguredError as problem:
        raise NotReachable(problem.message) from None


@contextmanager
def connected(database_url: str) -> Iterator[psycopg.Connection]:
    """Connect in autocommit, so that every transaction is one we open by name.

    Nothing is prepared and nothing is set for the session: behind a transaction pooler the next transaction
    may run on another server connection.

    Raises
    ------
    NotReachable
        The URL is malformed or the database does not answer. The message never holds the password.
    """
    url = readable(database_url)
    try:
        password = conninfo_to_dict(url).get("password")
        connection = psycopg.connect(
            url,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=_CONNECT_SECONDS,
            application_name="whatsapp-pairing migrate",
        )
    except psycopg.ProgrammingError:  # the driver's words quote the URL
        raise NotReachable("The database's URL cannot be read by Postgres's client.") from None
    except psycopg.Error as problem:
        text = str(problem).strip()
        raise NotReachable(text.replace(str(password), "***") if password else text) from None
    with connection:
        yield connection


def limit_waits(connection: psycopg.Connection, *, lock: int, statement: int, idle: int = 60) -> None:
    """Bound, in seconds, every wait of the present transaction; also the server's for a runner that froze."""
    connection.execute(
        "select set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),"
        " set_config('idle_in_transaction_session_timeout', %s, true)",
        (f"{lock}s", f"{statement}s", f"{idle}s"),
    )


def require_supabase(connection: psycopg.Connection) -> None:
    """Raise `NotSupabase`, naming what is missing, unless the database has what we need of Supabase."""
    missing = [name for (name,) in connection.execute(_SUPABASE_HAS)]
    if missing:
        raise NotSupabase(
            f"this is not a Supabase database: {', '.join(missing)} not found; "
            "the local runner creates stand-ins (infra/local/supabase.sql)"
        )
