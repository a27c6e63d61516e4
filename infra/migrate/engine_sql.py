"""Writes whatsmeow's tables as a file.

The real engine makes its tables in a fresh database. The statements that it sent are then read from the server's log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from infra.migrate import engine_tables
from infra.migrate.files import MIGRATIONS, read_migrations
from infra.migrate.run_file import execute
from infra.migrate.snapshot import fresh_database

_ENTRY = re.compile(r"^\d{4}-\d\d-\d\d [^\n]*? \[\d+\] (?P<kind>LOG|DETAIL):  (?P<text>.*?)(?=^\d{4}-|\Z)", re.M | re.S)
_STATEMENT = re.compile(r"(?:statement|execute [^:]*): (?P<sql>.*)", re.S)
_PARAMETER = re.compile(r"\$(\d+) = ('(?:[^']|'')*'|NULL)")
# Statements of the engine that change nothing.
_NO_CHANGE = re.compile(r"\s*(SELECT|BEGIN|COMMIT|SET|SHOW)\b", re.I)

_TAIL = f"{engine_tables.INDEX.strip()};\n{engine_tables.GRANT.strip()};\n"
_HEAD = """\
-- whatsmeow's tables of version {version}, as the engine of this release makes them.
{identity};
DO $engine$
DECLARE
  search_path_before CONSTANT TEXT := current_setting('search_path');
BEGIN
  IF coalesce((SELECT max(version) FROM whatsapp_engine.whatsmeow_version), 0) >= {version} THEN
    RETURN;
  END IF;
  -- whatsmeow's statements name no schema.
  PERFORM set_config('search_path', 'whatsapp_engine', true);
{changes}
  PERFORM set_config('search_path', search_path_before, true);
END
$engine$;
"""


def engine_file(existing: Sequence[str] = ()) -> str | None:
    """Return the file that brings whatsmeow's tables to the version of this release's engine.

    Parameters
    ----------
    existing
        The files of earlier releases. The new file holds only what the engine adds to them.

    Returns
    -------
    str or None
        None when the engine adds nothing.
    """
    with fresh_database() as server, psycopg.connect(server.url()) as connection:
        for text in (*(migration.text for migration in read_migrations(MIGRATIONS)), *existing, engine_tables.VERSION):
            execute(connection, text)
            connection.commit()
        connection.execute("alter role postgres set log_statement = 'all'")
        connection.commit()
        before = server.log.stat().st_size
        engine_tables.run_engine(server.url(), "")
        changes = list(_changes(server.log, before))
        row = connection.execute("select max(version) from whatsapp_engine.whatsmeow_version").fetchone()
    if existing and not changes and existing[-1].endswith(_TAIL):
        return None
    version = row[0] if row else 0
    text = "\n".join(f"  EXECUTE $whatsmeow$\n{change.strip()}\n$whatsmeow$;" for change in changes)
    return _HEAD.format(version=version, identity=engine_tables.VERSION.strip(), changes=text or "  NULL;") + _TAIL


def _changes(log: Path, start: int) -> Iterator[str]:
    """Yield the statements that the log holds from `start` on, with their parameters in place."""
    text = log.read_bytes()[start:].decode()
    entries = [(entry["kind"], entry["text"].replace("\n\t", "\n")) for entry in _ENTRY.finditer(text)]
    for (kind, entry), (after, detail) in zip(entries, [*entries[1:], ("", "")], strict=True):
        statement = _STATEMENT.match(entry)
        if kind != "LOG" or statement is None or _NO_CHANGE.match(statement["sql"]):
            continue
        values = dict(_PARAMETER.findall(detail)) if after == "DETAIL" else {}
        yield re.sub(r"\$(\d+)", lambda number, values=values: values[number[1]], statement["sql"])
