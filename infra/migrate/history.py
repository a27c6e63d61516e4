"""The record of what was applied: the schema `whatsapp_migrations`, which only its owner may read."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from infra.migrate.errors import VersionTaken
from infra.migrate.files import Migration

# The revokes are for a project whose default privileges open new tables of every schema.
CREATE = """
    create schema if not exists whatsapp_migrations;
    create table whatsapp_migrations.history (
      version text primary key,
      name text not null,
      checksum text,
      applied_at timestamptz not null default now()
    );
    comment on column whatsapp_migrations.history.checksum is
      'SHA-256 of the file''s text; null where the record was taken over or the database was adopted';
    create table whatsapp_migrations.functions (
      name text primary key,
      checksum text not null,
      applied_at timestamptz not null default now()
    );
    create table whatsapp_migrations.release (
      single boolean primary key default true check (single),
      number text not null,
      recorded_at timestamptz not null default now()
    );
    alter table whatsapp_migrations.history enable row level security;
    alter table whatsapp_migrations.functions enable row level security;
    alter table whatsapp_migrations.release enable row level security;
    revoke all on schema whatsapp_migrations from public, anon, authenticated, service_role;
    revoke all on all tables in schema whatsapp_migrations from public, anon, authenticated, service_role;
"""
_EXISTS = "select to_regclass('whatsapp_migrations.history') is not null"
_READ = "select version, name, checksum from whatsapp_migrations.history order by version"
_INSERT = "insert into whatsapp_migrations.history (version, name, checksum) values (%s, %s, %s)"


@dataclass(frozen=True)
class Applied:
    """One recorded migration."""

    version: str
    name: str
    checksum: str | None
    """SHA-256 of the file's text when it was applied; None where nobody knows it."""


def create(connection: psycopg.Connection) -> None:
    """Create the record where it is missing."""
    if not _exists(connection):
        connection.execute(CREATE)


def read(connection: psycopg.Connection) -> dict[str, Applied]:
    """Return what is recorded, by version; empty where there is no record yet."""
    if not _exists(connection):
        return {}
    return {version: Applied(version, name, checksum) for version, name, checksum in connection.execute(_READ)}


def add(connection: psycopg.Connection, migration: Migration, checksum: str | None) -> None:
    """Record `migration` as applied, with the checksum of the text that was applied, if it is known."""
    connection.execute(_INSERT, (migration.version, migration.name, checksum))


def is_applied(migration: Migration, applied: dict[str, Applied]) -> bool:
    """Tell whether `migration` is recorded.

    Raises
    ------
    VersionTaken
        Its version is recorded under another name.
    """
    record = applied.get(migration.version)
    if record is not None and record.name != migration.name:
        raise VersionTaken(
            f"{migration.label}: version {migration.version} is recorded here as '{record.name}'."
            " If that is the same migration, correct its name in whatsapp_migrations.history;"
            " if not, give the file another version."
        )
    return record is not None


def _exists(connection: psycopg.Connection) -> bool:
    return connection.execute(_EXISTS).fetchone() == (True,)
