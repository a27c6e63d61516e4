"""Asks Postgres in which schema the engine would make its tables, over the URL that the engine's driver gets.

whatsmeow's statements name no schema, so the URL sets `search_path` within its parameter `options`. A pooler may drop
the options, and something behind the login may change `search_path` again. whatsmeow's tables would then appear in
another schema. libpq and Go's driver send the options to the server in the same way.
"""

from __future__ import annotations

import psycopg
from whatsapp_engine.process import engine_dsn
from whatsapp_pairing.runtime.dialing import forget_variables

from infra.migrate.connection import without_password
from infra.migrate.errors import EngineTablesFailed

_SCHEMA = "whatsapp_engine"
_SECONDS = 10


def require_engine_schema(url: str) -> None:
    """Raise an error unless the engine would make its tables in our schema. Nothing is changed.

    Parameters
    ----------
    url
        A URL that `connection.readable` has returned.

    Raises
    ------
    EngineTablesFailed
        The engine's connection has another search_path, or it is refused.
    """
    forget_variables()
    try:
        with psycopg.connect(engine_dsn(url), autocommit=True, connect_timeout=_SECONDS) as connection:
            row = connection.execute("show search_path").fetchone()
    except psycopg.Error as problem:
        cause = " ".join(without_password(problem, url).split())
        raise EngineTablesFailed(
            f"the engine cannot log in: {cause}; give the URL of the database itself, or of a pooler that accepts the"
            " parameter options"
        ) from None
    found = str(row[0]) if row else ""
    if found.strip('"') != _SCHEMA:
        raise EngineTablesFailed(
            "whatsmeow's tables would appear in another schema, because the engine's connection has the search_path"
            f" {found or '(empty)'} instead of {_SCHEMA}; give the URL of the database itself, or of a pooler that"
            " passes the parameter options on"
        )
