"""Connections for migrations. They set nothing for the session, show no password, and limit each wait."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from whatsapp_pairing.core.errors import MisconfiguredError
from whatsapp_pairing.runtime.database_url import UNREADABLE, normalised
from whatsapp_pairing.runtime.dialing import forget_variables
from whatsapp_pairing.runtime.refusals import asks_for_certificate
from whatsapp_pairing.runtime.tls_faults import ASKS_FOR_CERTIFICATE, TlsFault, tls_fault

from infra.migrate.errors import NotReachable, NotSupabase

_CONNECT_SECONDS = 10
# libpq writes two spaces after the severity of a server's message, in every language. Its own messages have one.
_SAID_BY_SERVER = re.compile(r":  \S")

_SUPABASE_HAS = """
    select 'the schema auth' where to_regnamespace('auth') is null
    union all select 'the table auth.users' where to_regclass('auth.users') is null
    union all select 'the function auth.uid()' where to_regprocedure('auth.uid()') is null
    union all
    select 'the role ' || name from unnest(array['anon', 'authenticated', 'service_role']) as name
    where to_regrole(name) is null
"""


def readable(database_url: str) -> str:
    """Return the URL in the form that all drivers read in the same way.

    Raises
    ------
    NotReachable
        A part of the URL is missing or wrong. The message names the part, but does not quote it.
    """
    try:
        return normalised(database_url)
    except MisconfiguredError as problem:
        raise NotReachable(problem.message) from None


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    """Connect to a URL that `readable` has returned. The connection is in autocommit, so callers open each transaction.

    The connection prepares no statement and sets nothing for the session, because behind a transaction pooler the next
    transaction may run on another connection of the server.

    Raises
    ------
    NotReachable
        The database does not answer. The message never holds the password.
    """
    forget_variables()
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=_CONNECT_SECONDS,
            application_name="whatsapp-pairing migrate",
        )
    except psycopg.Error as problem:
        raise NotReachable(why_unconnected(problem, url)) from None
    with connection:
        yield connection


def why_unconnected(error: psycopg.Error, url: str) -> str:
    """Return why a connection has failed: the cause of a failure of TLS, or the error's text without the password."""
    said = _SAID_BY_SERVER.search(str(error))
    if said and asks_for_certificate(str(error)):
        return f"{TlsFault(ASKS_FOR_CERTIFICATE).why}."
    # If the server itself has refused the login, TLS has worked.
    fault = None if said else tls_fault(url)
    return f"{fault.why}." if fault else without_password(error, url)


def without_password(error: Exception, database_url: str) -> str:
    """Return the text of an error, with `***` in the place of the URL's password.

    `database_url` is the URL that libpq was given. It may hold the password with percent escapes, but an error names
    the password itself. So both forms are masked. If libpq cannot read the URL, the password is unknown, and
    `UNREADABLE` takes the place of the whole text.
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
    """Limit, in seconds, each wait of the present transaction.

    `idle` also limits how long the server waits for this process, which may hang.
    """
    connection.execute(
        "select set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true),"
        " set_config('idle_in_transaction_session_timeout', %s, true)",
        (f"{lock}s", f"{statement}s", f"{idle}s"),
    )


def require_supabase(connection: psycopg.Connection) -> None:
    """Raise `NotSupabase` if the database lacks something that Supabase provides. The message names what is missing."""
    missing = [name for (name,) in connection.execute(_SUPABASE_HAS)]
    if missing:
        raise NotSupabase(
            f"this is not a Supabase database: {', '.join(missing)} not found. "
            "On your own machine, the local system creates stand-ins (infra/postgres/supabase.sql)."
        )
