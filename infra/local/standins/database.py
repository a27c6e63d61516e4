"""Checks to whom a database belongs, and prepares it for the local system."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from infra.errors import ToolError
from infra.local.options import LOGIN_NAMES
from infra.migrate.connection import why_unconnected
from infra.postgres import SUPABASE

# Key: the last part of a secret's name in template.yaml. Value: the role whose URL that secret holds.
ROLES = {login: f"whatsapp_{login}" for login in LOGIN_NAMES}

_HOLDS_OURS = """
    select to_regclass('public.whatsapp_sessions') is not null
        or to_regnamespace('whatsapp_private') is not null
        or to_regnamespace('whatsapp_engine') is not null
"""

_MAKE_MARK = """
    create schema if not exists whatsapp_local;
    create table if not exists whatsapp_local.mark (
      whatsapp text not null,
      marked_at timestamptz not null default now()
    );
    revoke all on schema whatsapp_local from public
"""


def prepare(database_url: str, whatsapp_id: str, *, embedded: bool) -> None:
    """Check whose database this is, bring it up to date, and mark it as this local system's.

    The engine connects the devices of the database to the WhatsApp of this run. If that WhatsApp does not know a
    device, the engine deletes the device's keys. So the mark names a WhatsApp, and a database with another mark is
    refused. A database without a mark is used only if it holds nothing of the product. It gets its mark after it has
    been prepared.

    Parameters
    ----------
    database_url
        The database, as its owner.
    whatsapp_id
        The id of this run's WhatsApp (`WhatsApp.id`).
    embedded
        Whether the local system has made the database itself.

    Raises
    ------
    ToolError
        The database belongs to somebody else, cannot be reached, or refuses a statement.
    """
    from infra.migrate import MigrateError, up

    try:
        with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
            marked = _check_mark(connection, database_url, whatsapp_id, embedded)
            connection.execute(SUPABASE.read_bytes())
        up(database_url)
        if not marked:
            with psycopg.connect(database_url, connect_timeout=10) as connection:
                connection.execute(_MAKE_MARK)
                connection.execute("insert into whatsapp_local.mark (whatsapp) values (%s)", (whatsapp_id,))
    except psycopg.Error as error:
        raise ToolError(
            f"the database on {host(database_url)} cannot be used: {_about(error, database_url)}"
        ) from error
    except MigrateError as error:
        raise ToolError(f"the database on {host(database_url)} cannot be made ready: {error}") from error


def _check_mark(connection: psycopg.Connection, database_url: str, whatsapp_id: str, embedded: bool) -> bool:
    where = host(database_url)
    if connection.execute("select to_regclass('whatsapp_local.mark') is not null").fetchone() == (True,):
        marks = {name for (name,) in connection.execute("select whatsapp from whatsapp_local.mark")}
        if marks != {whatsapp_id}:
            raise ToolError(_other_whatsapp(where, embedded))
        return True
    if not embedded and connection.execute(_HOLDS_OURS).fetchone() == (True,):
        raise ToolError(
            f"the database on {where} already holds whatsapp_sessions that no local system has made, "
            "so nothing was changed there. Give --database-url an empty database."
        )
    return False


def login_urls(database_url: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return the URLs with which the functions log in, by the last part of the secret's name.

    Parameters
    ----------
    database_url
        The database, as its owner. A role whose own URL is not given uses the host and the database name of this URL.
        It logs in without a password, which the embedded Postgres allows. The runner never changes a role's password.
    given
        The URLs of ``--api-database-url`` and so on, by the same names.

    Raises
    ------
    ToolError
        A role cannot log in. The message names its option.
    """
    parts = urlsplit(database_url)
    server = parts.netloc.rpartition("@")[2]
    urls = {
        login: given.get(login) or urlunsplit(parts._replace(netloc=f"{role}@{server}"))
        for login, role in ROLES.items()
    }
    for login, url in urls.items():
        try:
            psycopg.connect(url, connect_timeout=10).close()
        except psycopg.OperationalError as error:
            raise ToolError(
                f"{ROLES[login]} cannot log in to {host(database_url)}; give its URL with --{login}-database-url "
                f"({why_unconnected(error, url)})"
            ) from error
    return urls


def host(database_url: str) -> str:
    """Return the host and database of a URL, for a message: ``db.example.com/postgres``."""
    parts = conninfo_to_dict(database_url)
    return f"{parts['host']}/{parts['dbname']}"


def _other_whatsapp(where: str, embedded: bool) -> str:
    if embedded:
        return (
            "the embedded database was filled with another WhatsApp than the one of this run. "
            "Use another --data-dir, or remove this one to start anew."
        )
    return (
        f"the database on {where} belongs to a local system with another WhatsApp, so nothing was changed there. "
        "Use the --data-dir of that stack, or give --database-url an empty database."
    )


def _about(error: psycopg.Error, database_url: str) -> str:
    """Return the message of Postgres in one sentence, without the statement's context, which a user does not need."""
    return error.diag.message_primary or why_unconnected(error, database_url)
