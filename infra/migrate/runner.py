"""`up` and `status`: numbered files, the engine's tables, function files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from psycopg.errors import Diagnostic

from infra.migrate import engine_tables, functions, history, numbered, release
from infra.migrate import supabase_history as records_of_supabase
from infra.migrate.connection import connected, readable, require_supabase
from infra.migrate.files import MIGRATIONS, Migration, read_migrations


@dataclass(frozen=True)
class Outcome:
    """What `up` did: versions of numbered files, and names of functions."""

    applied: list[str]
    functions: list[str]
    taken_over: list[str]
    """Recorded in the Supabase CLI's history until now."""
    adopted: list[str]
    """Without any record until now; the database held all that they make."""
    notices: list[str]
    """Optional steps that Postgres did not allow, each with what to do."""


@dataclass(frozen=True)
class Status:
    """Where a database stands: files applied, files to come, and records without a file."""

    release: str | None
    """The newest release that has migrated the database."""
    applied: list[str]
    pending: list[str]
    """Numbered files that were never applied, and function files whose present text was not."""
    not_here: list[str]
    """Recorded, but no file of the directory: of a newer release, or of another directory."""
    changed: list[str]
    """Applied, but with another text than the file has now."""


def up(database_url: str, directory: Path = MIGRATIONS, *, supabase_history: bool = False) -> Outcome:
    """Bring a database to this release: numbered files, then the engine's own tables, then the changed functions.

    Safe from two places at once, and again after a failure: a file is applied as a whole or not at all. The engine's
    tables belong to `MIGRATIONS`; another directory goes without them.

    Parameters
    ----------
    supabase_history
        Record the numbered files in the Supabase CLI's history too, for a product that copies them into its own
        `supabase/migrations`.

    Raises
    ------
    NewerRelease
        A newer release has migrated the database; nothing was done.
    MigrateError
        See `infra.migrate.errors`; its text says what to do.
    """
    directory = directory.resolve()
    migrations, repeatable = read_migrations(directory), functions.read_functions(directory)
    url, ours = readable(database_url), directory == MIGRATIONS
    if ours:
        engine_tables.require_session(url)
    notices: list[str] = []
    with connected(url) as connection:
        require_supabase(connection)
        connection.add_notice_handler(lambda diag: notices.extend(_warning(diag)))
        done = numbered.apply(connection, migrations, supabase=supabase_history)
    if ours:
        engine_tables.create_engine_tables(url)
    with connected(url) as connection:
        made = functions.apply(connection, repeatable)
    return Outcome(done.versions, made, done.found.taken_over, done.found.adopted, notices)


def status(database_url: str, directory: Path = MIGRATIONS) -> Status:
    """Compare the files of `directory` with what the database has recorded."""
    migrations, repeatable = read_migrations(directory), functions.read_functions(directory)
    with connected(readable(database_url)) as connection:
        records = history.read(connection)
        to_take_over = records_of_supabase.ours(connection, migrations)
        to_make = functions.changed(connection, repeatable)
        newest = release.read(connection)
    applied = [it for it in migrations if history.is_applied(it, records) or it.version in to_take_over]
    ours = {migration.version for migration in migrations}
    checksums = {record.version: record.checksum for record in records.values()}
    pending = _labels(migration for migration in migrations if migration not in applied)
    return Status(
        release=newest,
        applied=[*_labels(applied), *(it.label for it in repeatable if it not in to_make)],
        pending=[*pending, *(it.label for it in to_make)],
        not_here=[f"{it.version}_{it.name}" for it in records.values() if it.version not in ours],
        changed=_labels(it for it in applied if checksums.get(it.version) not in (None, it.checksum)),
    )


def _labels(migrations: Iterable[Migration]) -> list[str]:
    return [migration.label for migration in migrations]


def _warning(diag: Diagnostic) -> list[str]:
    if diag.severity_nonlocalized != "WARNING":
        return []
    return [". ".join(text for text in (diag.message_primary, diag.message_hint) if text)]
