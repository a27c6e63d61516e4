"""The number of the newest release that has migrated the database.

The workflow of an earlier tag runs `up` and `verify` before it deploys. On a database of a newer release it must change
nothing, or it would put older functions in the place of newer ones.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import psycopg

from infra.migrate.errors import NewerRelease

_PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
_EXISTS = "select to_regclass('whatsapp_migrations.release') is not null"
_READ = "select number from whatsapp_migrations.release"
_RECORD = """
    insert into whatsapp_migrations.release (number) values (%s)
    on conflict (single) do update set number = excluded.number, recorded_at = now()
    where release.number <> excluded.number
"""


@cache
def this_release() -> str:
    """Return the number of the release that this code is of, from `pyproject.toml`."""
    return str(tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"])


def refuse_newer(connection: psycopg.Connection) -> None:
    """Raise `NewerRelease` if a newer release than this one has migrated the database."""
    recorded = read(connection)
    if recorded is not None and _order(recorded) > _order(this_release()):
        raise NewerRelease(recorded, this_release())


def read(connection: psycopg.Connection) -> str | None:
    """Return the recorded number; None where there is none."""
    if connection.execute(_EXISTS).fetchone() != (True,):
        return None
    row = connection.execute(_READ).fetchone()
    return None if row is None else str(row[0])


def record(connection: psycopg.Connection) -> None:
    """Record this release. It comes before the first change: a release that fails half-way is in the database too."""
    connection.execute(_RECORD, (this_release(),))


def _order(number: str) -> list[int]:
    """Return the parts of a number to compare, without a suffix such as ``-rc1``."""
    return [int(part) for part in re.findall(r"\d+", number.partition("-")[0])]
