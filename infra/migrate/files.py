"""The migration files of a directory, in the order they are applied."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from infra.migrate.errors import BadMigration

MIGRATIONS = Path(__file__).resolve().parent.parent.parent / "migrations"

_FILE_NAME = re.compile(r"(?P<version>[0-9]{14})_(?P<name>.+)\.sql")


@dataclass(frozen=True)
class Migration:
    """One file: `<version>_<name>.sql`."""

    version: str
    name: str
    path: Path
    text: str

    @property
    def label(self) -> str:
        """The file's name, for messages."""
        return self.path.name

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text."""
        return checksum_of(self.text)


def read_migrations(directory: Path = MIGRATIONS) -> list[Migration]:
    """Read the migrations of `directory`, oldest first.

    Raises
    ------
    BadMigration
        The directory does not exist or has no migration, two files share a version, or a file is misnamed or not
        text.
    """
    if not directory.is_dir():
        raise BadMigration(f"no such directory: {directory}")
    migrations = [_read(path) for path in sorted(directory.glob("*.sql"))]
    if not migrations:
        raise BadMigration(f"no migration in {directory}")
    for older, newer in pairwise(migrations):
        if older.version == newer.version:
            raise BadMigration(f"{older.label} and {newer.label} have the same version")
    return migrations


def read_text(path: Path) -> str:
    """Return the text of a file; raise `BadMigration` if it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise BadMigration(f"{path.name}: {problem}") from problem


def checksum_of(text: str) -> str:
    """Return the SHA-256 of a file's text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> Migration:
    match = _FILE_NAME.fullmatch(path.name)
    if match is None:
        raise BadMigration(f"{path.name}: a migration is named <14 digits>_<name>.sql")
    return Migration(match["version"], match["name"], path, read_text(path))
