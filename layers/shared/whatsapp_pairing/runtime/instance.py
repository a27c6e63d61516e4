"""The connection that an instance of a function keeps between invocations."""

from functools import cache

from whatsapp_pairing.runtime import snapshot
from whatsapp_pairing.runtime.database import Database
from whatsapp_pairing.runtime.settings import settings


@cache
def database() -> Database:
    """Return the instance's connection to Postgres, as the function's own role."""
    return Database(lambda: settings().database_url)


def _forget() -> None:
    if database.cache_info().currsize:
        database().close()
        database.cache_clear()


snapshot.forget(_forget)
