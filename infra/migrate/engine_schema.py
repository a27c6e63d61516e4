"""Asks Postgres, as the engine's driver does, in which schema the engine would make its tables.

Go's driver sends `search_path` as a parameter of its login. A pooler may drop the parameter, and something behind the
login may change it. whatsmeow's statements name no schema, so its tables would then appear in another schema. libpq
cannot send this parameter. asyncpg can: it sends each unknown parameter of the URL to the server, as Go's driver does.
"""

from __future__ import annotations

import asyncio
from ssl import SSLError
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from whatsapp_engine.process import engine_dsn

from infra.migrate.connection import without_password
from infra.migrate.errors import EngineTablesFailed

_SCHEMA = "whatsapp_engine"
_SECONDS = 10.0
# asyncpg would send this parameter to the server too.
_OF_THE_CLIENT = "connect_timeout"
_TODO = "give the URL of the database itself, or of a pooler that passes search_path on"


def require_engine_schema(url: str) -> None:
    """Raise an error unless the engine would make its tables in our schema. Nothing is changed.

    Parameters
    ----------
    url
        A URL that `connection.readable` has returned.

    Raises
    ------
    EngineTablesFailed
        The engine's connection has another search_path, or the server refuses its login.
    """
    try:
        found = asyncio.run(_search_path(_dsn(url)))
    except asyncpg.PostgresError as problem:
        cause = without_password(problem, url).partition("\n")[0]  # DETAIL and HINT follow in lines of their own
        raise EngineTablesFailed(
            f"the engine's login is refused: {cause} (SQLSTATE {problem.sqlstate}); {_TODO}"
        ) from None
    except (asyncpg.InterfaceError, SSLError, OSError, TimeoutError) as problem:
        cause = without_password(problem, url) or type(problem).__name__
        raise EngineTablesFailed(
            f"the engine cannot connect as its URL says: {cause}; correct the URL's host and TLS parameters"
        ) from None
    if found.strip('"') != _SCHEMA:
        raise EngineTablesFailed(
            f"whatsmeow's tables would appear in another schema, because the engine's connection has the search_path"
            f" {found or '(empty)'} instead of {_SCHEMA}; {_TODO}"
        )


async def _search_path(dsn: str) -> str:
    connection = await asyncpg.connect(dsn, timeout=_SECONDS, command_timeout=_SECONDS, statement_cache_size=0)
    try:
        return str(await connection.fetchval("show search_path"))
    finally:
        connection.terminate()  # close() would wait until the server or the pooler hangs up


def _dsn(url: str) -> str:
    parts = urlsplit(engine_dsn(url))
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != _OF_THE_CLIENT]
    return urlunsplit(parts._replace(query=urlencode(query)))
