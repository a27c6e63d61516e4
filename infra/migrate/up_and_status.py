"""The commands `up` and `status`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from psycopg.errors import Diagnostic

from infra.migrate import engine_tables, functions, history, numbered, release
from infra.migrate import supabase_history as records_of_supabase
from infra.migrate.connection import connected, readable, require_supabase
from infra.migrate.engine_schema import require_engine_schema
from infra.migrate.files import MIGRATIONS, Migration, read_migrations


@dataclass(frozen=True)
class Outcome:
    """The result of `up`."""

    applied: list[str]
    """The versions of the numbered files that were applied."""
    functions: list[str]
    """The names of the functions whose files were applied."""
    taken_over: list[str]
    """The versions that only the Supabase CLI's history has recorded until now."""
    adopted: list[str]
    """The versions that had no record until now, although the database held all that they make."""
    notices: list[str]
    """A text for each optional step that Postgres did not allow. It says what to do."""


@dataclass(frozen=True)
class Status:
    """The result of `status`: which files are applied and which are not, and which records have no file."""

    release: str | None
    """The newest release that has migrated the database."""
    applied: list[str]
    pending: list[str]
    """Numbered files that were never applied, and function files whose present text was never applied."""
    not_here: list[str]
    """Records without a file in the directory. They are of a newer release or of another directory."""
    changed: list[str]
    """Files whose text has changed after they were applied."""


def up(database_url: str, directory: Path = MIGRATIONS, *, supabase_history: bool = False) -> Outcome:
    """Bring a database to this release: apply numbered files, then make whatsmeow's tables, then apply functions.

    Two processes may call it at once, and it may be repeated after a failure, because a file is applied as a whole or
    not at all. It makes whatsmeow's tables only with the directory `MIGRATIONS`.

    Parameters
    ----------
    supabase_history
        Also record the numbered files in the Supabase CLI's history, for a product that copies them into its own
        `supabase/migrations`.

    Raises
    ------
    NewerRelease
        A newer release has migrated the database. Nothing was changed.
    MigrateError
        The message says what to do. `infra.migrate.errors` lists the errors.
    """
    directory = directory.resolve()
    migrations, repeatable = read_migrations(directory), functions.read_functions(directory)
    url, ours = readable(database_url), directory == MIGRATIONS
    if ours:
        engine_tables.require_session(url)
    notices: list[str] = []
    with connected(url) as connection:
        require_supabase(connection)
        if ours:
            require_engine_schema(url)  # before the first change
        connection.add_notice_handler(lambda diag: notices.extend(_warning(diag)))
        done = numbered.apply(connection, migrations, supabase=supabase_history)
    if ours:
        engine_tables.create_engine_tables(url)
    with connected(url) as connection:
        made = functions.apply(connection, repeatable)
    return Outcome(done.versions, made, done.found.taken_over, done.found.adopted, notices)


def status(database_url: str, directory: Path = MIGRATIONS) -> Status:
    """Compare the files of `directory` with the records in the database."""
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
