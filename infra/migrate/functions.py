"""Applies the file of each database function. It applies a file again when its text changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from infra.migrate.errors import BadMigration, MigrationFailed
from infra.migrate.files import checksum_of, read_text
from infra.migrate.one_at_a_time import take_turn
from infra.migrate.run_file import execute, explained

FOLDER = "functions"

# Deployed code calls a function by its name with the number. From release 1.0 on, a function with another signature is
# a new file with the next number, and the old file stays. Until then, the file keeps its name, and a numbered migration
# drops the old form.
_FILE_NAME = re.compile(r"(?P<name>[a-z][a-z0-9_]*_v[1-9][0-9]*)\.sql")

# A file may also make a trigger on a table of whatsmeow. The trigger is lost when whatsmeow makes the table anew.
_TRIGGER = re.compile(r"^CREATE OR REPLACE TRIGGER (?P<name>[a-z][a-z0-9_]*)$", re.M)

_EXISTS = "select to_regclass('whatsapp_migrations.functions') is not null"
_READ = "select name, checksum from whatsapp_migrations.functions"
_RECORD = """
    insert into whatsapp_migrations.functions (name, checksum) values (%s, %s)
    on conflict (name) do update set checksum = excluded.checksum, applied_at = now()
"""
_TRIGGERS = "select tgname from pg_trigger where tgname = any(%s)"
_MADE = "select exists (select from pg_proc where proname = %s)"


@dataclass(frozen=True)
class Function:
    """One file: `<name>_v<number>.sql`."""

    name: str
    text: str

    @property
    def label(self) -> str:
        """Return the file's name, for messages."""
        return f"{FOLDER}/{self.name}.sql"

    @property
    def checksum(self) -> str:
        """Return the SHA-256 of the file's text."""
        return checksum_of(self.text)


def read_functions(directory: Path) -> list[Function]:
    """Read the function files of a directory of migrations, in the order of their names.

    Raises
    ------
    BadMigration
        A file has a wrong name or is not UTF-8.
    """
    folder = directory / FOLDER
    if not folder.is_dir():
        return []
    paths = (path for path in sorted(folder.iterdir()) if path.name != "README.md" and not path.name.startswith("."))
    return [_read(path) for path in paths]


def changed(connection: psycopg.Connection, functions: Sequence[Function]) -> list[Function]:
    """Return the functions that `up` must apply: new ones, those with a new text, and those whose trigger is lost."""
    applied = _applied(connection)
    wanted = {function.name: set(_TRIGGER.findall(function.text)) for function in functions}
    triggers = {name for (name,) in connection.execute(_TRIGGERS, (list(set().union(*wanted.values())),))}
    return [it for it in functions if applied.get(it.name) != it.checksum or not wanted[it.name] <= triggers]


def apply(connection: psycopg.Connection, functions: Sequence[Function]) -> list[str]:
    """Apply the changed functions, each in one transaction with its record, and return their names."""
    return [function.name for function in changed(connection, functions) if _apply(connection, function)]


def _apply(connection: psycopg.Connection, function: Function) -> bool:
    try:
        with connection.transaction():
            take_turn(connection)
            if not changed(connection, [function]):
                return False  # another process has just applied it
            execute(connection, function.text)
            if connection.execute(_MADE, (function.name,)).fetchone() != (True,):
                raise MigrationFailed(
                    f"{function.label}: the file makes no function with the name {function.name}\n"
                    "  nothing of this file was kept"
                )
            connection.execute(_RECORD, (function.name, function.checksum))
        return True
    except psycopg.Error as problem:
        raise explained(function.label, problem, text=function.text) from problem


def _applied(connection: psycopg.Connection) -> dict[str, str]:
    if connection.execute(_EXISTS).fetchone() != (True,):
        return {}
    return dict(connection.execute(_READ).fetchall())


def _read(path: Path) -> Function:
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        raise BadMigration(
            f"{FOLDER}/{path.name}: the file of a function is named <function>_v<number>.sql, in lower case"
        )
    return Function(match["name"], read_text(path))
