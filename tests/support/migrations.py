"""Writes folders of small migrations, and queries the database to which they were applied."""

from __future__ import annotations

from pathlib import Path

import psycopg


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def recorded(url: str) -> list[str]:
    found = query(url, "select version from whatsapp_migrations.history order by 1")
    return [str(version) for (version,) in found]


def directory(path: Path, *texts: str) -> Path:
    for number, text in enumerate(texts, 1):
        (path / f"2030010100000{number}_step.sql").write_text(text)
    return path


MAKE = "create or replace function {}() returns int language sql as 'select {}'"


def functions(path: Path, **texts: str) -> Path:
    folder = directory(path, "create table before ()") / "functions"
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text("not a function")
    for name, text in texts.items():
        (folder / f"{name}.sql").write_text(text)
    return path
