"""Connections for migrations: no session state, no password in any message, never a long wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from whatsapp_pairing.core.errors import MisconfiguredError
from whatsapp_pairing.runtime.database_url import UNREADABLE, normalised

from infra.migrate.errors import NotReachable, NotSupabase

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
def connected(url: str) -> Iterator[psycopg.Connection]:
    """Connect to a URL that is `readable`, in autocommit, so that every transaction is one we open by name.

    Nothing is prepared and nothing is set for the session: behind a transaction pooler the next transaction
    may run on another server connection.

    Raises
    ------
    NotReachable
        The database does not answer. The message never holds the password.
    """
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=_CONNECT_SECONDS,
            application_name="whatsapp-pairing migrate",
        )
    except psycopg.Error as problem:
        raise NotReachable(without_password(problem, url)) from None
    with connection:
        yield connection


def without_password(error: Exception, database_url: str) -> str:
    """Return what an error says, with `***` in the place of the URL's password.

    The URL is the one that libpq was given. It may hold the password percent-escaped, while an error names the
    password itself; both are masked. The password of a URL that libpq refuses is unknown, so `UNREADABLE` takes the
    place of the whole text.
    """
    try:
        password = conninfo_to_dict(database_url).get("password")
    except psycopg.ProgrammingError:
        return UNREADABLE
    text = str(error).strip()
    if not password:
        return text
    for written in (str(password), quote(str(password), safe="")):
        text = text.replace(written, "***")
    return text


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
            "the local runner creates stand-ins (infra/postgres/supabase.sql)"
        )
