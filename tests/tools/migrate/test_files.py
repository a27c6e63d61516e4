"""Reading a directory of migrations."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.migrate.errors import BadMigration
from infra.migrate.files import read_migrations


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name[1:]}.sql").write_text(text)
    return directory


def test_files_are_read_oldest_first(tmp_path: Path) -> None:
    write(tmp_path, _20250102000000_later="select 2;", _20250101000000_sooner="select 1; select 2;")
    (tmp_path / "README.md").write_text("not a migration")
    first, second = read_migrations(tmp_path)
    assert (first.version, first.name, first.text) == ("20250101000000", "sooner", "select 1; select 2;")
    assert second.label == "20250102000000_later.sql"


def test_our_own_files_are_read() -> None:
    assert next(migration.label for migration in read_migrations()) == "20250111000000_whatsapp_sessions.sql"


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "no migration in"),
        ({"_1_short": "select 1"}, "14 digits"),
        ({"_20250101000000_a": "", "_20250101000000_b": ""}, "same version"),
    ],
)
def test_a_malformed_directory_is_refused(tmp_path: Path, files: dict[str, str], complaint: str) -> None:
    with pytest.raises(BadMigration, match=complaint):
        read_migrations(write(tmp_path, **files))


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadMigration, match="no such directory"):
        read_migrations(tmp_path / "nowhere")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "20250101000000_a.sql").write_bytes(b"select '\xff'")
    with pytest.raises(BadMigration, match="20250101000000_a"):
        read_migrations(tmp_path)
