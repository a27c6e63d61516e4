"""What can go wrong in a migration, each with a sentence for the person who ran it.

MigrateError
├── BadMigration        a file or the directory is not usable
├── BundleRefused       a bundle would rewrite a file, or a version of it is taken
├── NotReachable        no connection to the database
├── NotSupabase         the database lacks what Supabase provides
├── VersionTaken        another migration is recorded under one of our versions
├── HistoryLost         our tables without a record of the migrations, and not what the migrations make
├── NewerRelease        a newer release has migrated the database; nothing to do for this one
├── EngineTablesFailed  whatsmeow's own tables could not be made
└── MigrationFailed     Postgres refused a statement; nothing of the file was kept
    └── Busy            a lock or the time allowed did not suffice; run it again
"""

from __future__ import annotations


class MigrateError(Exception):
    """Something the person at the command line has to know; its text is the message."""


class BadMigration(MigrateError):
    """A migration file, or the directory of them, is not usable."""


class BundleRefused(MigrateError):
    """A file in the bundle's folder must not be overwritten."""


class NotReachable(MigrateError):
    """No connection to the database."""


class NotSupabase(MigrateError):
    """The database lacks the schema, table, function or roles that Supabase provides."""


class VersionTaken(MigrateError):
    """Another migration is recorded under the version of one of ours."""


class HistoryLost(MigrateError):
    """The database holds our tables, no record of the migrations, and not all that they make."""


class NewerRelease(MigrateError):
    """A newer release has migrated the database, so this release changes nothing. The command line exits 0."""

    def __init__(self, recorded: str, this: str) -> None:
        super().__init__(f"the database is of release {recorded}, newer than this one ({this}): nothing was done")
        self.recorded = recorded


class EngineTablesFailed(MigrateError):
    """The engine could not create or upgrade whatsmeow's own tables."""


class MigrationFailed(MigrateError):
    """Postgres refused a statement. Nothing of that file was kept."""


class Busy(MigrationFailed):
    """The database was too busy: running it again is safe, and likely to work."""
