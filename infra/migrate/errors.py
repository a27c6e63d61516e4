"""The errors of migrations. The text of each is a message for the person who has run the command.

MigrateError
├── BadMigration        a file or the directory cannot be used
├── BundleRefused       a bundle would overwrite a file, or one of its versions is taken
├── NotReachable        there is no connection to the database
├── NotSupabase         the database lacks something that Supabase provides
├── VersionTaken        another migration is recorded under one of our versions
├── HistoryLost         the database has our tables, but no record, and it differs from what the migrations make
├── NewerRelease        a newer release has migrated the database, so this one changes nothing
├── EngineTablesFailed  the engine could not make whatsmeow's tables
└── MigrationFailed     Postgres has reported an error; it kept nothing of the file
    └── Busy            a statement waited too long for a lock, or took too long; run it again
"""

from __future__ import annotations


class MigrateError(Exception):
    """An error that the person at the command line has to know. Its text is the message."""


class BadMigration(MigrateError):
    """A migration file, or the directory of the files, cannot be used."""


class BundleRefused(MigrateError):
    """A bundle would overwrite a file in its folder, or a version of its files is taken there."""


class NotReachable(MigrateError):
    """There is no connection to the database."""


class NotSupabase(MigrateError):
    """The database lacks the schema, table, function or roles that Supabase provides."""


class VersionTaken(MigrateError):
    """Another migration is recorded under the version of one of ours."""


class HistoryLost(MigrateError):
    """The database has our tables, but no record of the migrations, and it differs from what they make."""


class NewerRelease(MigrateError):
    """A newer release has migrated the database, so this release changes nothing. The command line exits 0."""

    def __init__(self, recorded: str, this: str) -> None:
        super().__init__(f"the database is of release {recorded}, newer than this one ({this}); nothing was changed")
        self.recorded = recorded


class EngineTablesFailed(MigrateError):
    """The engine could not create or upgrade whatsmeow's own tables."""


class MigrationFailed(MigrateError):
    """Postgres has reported an error. It kept nothing of that file."""


class Busy(MigrationFailed):
    """The database was too busy. A second run is safe, and it is likely to work."""
