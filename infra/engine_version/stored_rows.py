"""The rows of whatsmeow's tables before and after an upgrade, and the tables that our SQL names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from infra.engine_version.candidate import ROOT

_SCHEMA = "whatsapp_engine"
_COLUMNS = """
    SELECT table_name, array_agg(column_name::text ORDER BY column_name)
    FROM information_schema.columns WHERE table_schema = 'whatsapp_engine' GROUP BY 1 ORDER BY 1
"""
# The version of the tables is meant to change.
_MAY_CHANGE = {"whatsmeow_version"}
# Words of our SQL that begin like a table of whatsmeow, and name an index or a policy of ours.
_OURS = re.compile(r"_by_")


@dataclass(frozen=True)
class Table:
    """One table: its columns, and its rows as texts."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]


def read_rows(database_url: str) -> dict[str, Table]:
    """Return whatsmeow's tables with all rows. The databases here hold a few devices only."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(_COLUMNS).fetchall()
        return {name: Table(tuple(columns), _rows(connection, name, columns)) for name, columns in found}


def differences(before: Mapping[str, Table], after: Mapping[str, Table]) -> Iterator[str]:
    """Yield what an upgrade has lost: a table, a column, or rows with their values in the former columns."""
    for name, table in before.items():
        now = after.get(name)
        if now is None:
            yield f"{name} is gone with {len(table.rows)} rows"
            continue
        if gone := [column for column in table.columns if column not in now.columns]:
            yield f"{name} has lost {', '.join(gone)}"
        if name in _MAY_CHANGE:
            continue
        common = [column for column in table.columns if column in now.columns]
        lost = set(_only(table, common)) - set(_only(now, common))
        if lost:
            yield f"{name}: {len(lost)} of {len(table.rows)} rows are gone or changed"


def missing_tables(database_url: str) -> list[str]:
    """Return a text for each table of whatsmeow that our SQL names, and that the database lacks."""
    sources = [*(ROOT / "migrations").rglob("*.sql"), *(ROOT / "infra" / "migrate").glob("*.py")]
    texts = (path.read_text("utf-8") for path in sources)
    named = {name for text in texts for name in re.findall(r"whatsapp_engine\.(whatsmeow_[a-z_]+)", text)}
    with psycopg.connect(database_url) as connection:
        there = {name for (name, _) in connection.execute(_COLUMNS)}
    return [f"our SQL needs {name}" for name in sorted(named - there) if not _OURS.search(name)]


def _rows(connection: psycopg.Connection, table: str, columns: list[str]) -> tuple[tuple[str | None, ...], ...]:
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns)
    query = sql.SQL("SELECT {} FROM {}").format(texts, sql.Identifier(_SCHEMA, table))
    return tuple(connection.execute(query).fetchall())


def _only(table: Table, columns: list[str]) -> Iterator[tuple[str | None, ...]]:
    places = [table.columns.index(column) for column in columns]
    return (tuple(row[place] for place in places) for row in table.rows)
