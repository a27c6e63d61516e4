"""An older release does not change the database of a newer release."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from infra.migrate import release, status, up, verify
from infra.migrate.__main__ import main
from infra.migrate.engine_tables import create_engine_tables
from infra.migrate.errors import NewerRelease
from tests.support.migrations import MAKE, functions, query


def at_release(monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setattr(release, "this_release", lambda: number)


def test_a_release_is_a_number_with_dots() -> None:
    assert re.fullmatch(r"\d+(\.\d+)*", release.this_release())


def test_up_records_the_release(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in ("0.9.0", "0.10.0", "0.10.0"):
        at_release(monkeypatch, number)
        up(database_url, functions(tmp_path))
        assert status(database_url, tmp_path).release == number


def test_an_older_up_applies_nothing(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_release(monkeypatch, "0.10.0")
    up(database_url, functions(tmp_path, a_v1=MAKE.format("a_v1", 2)))
    at_release(monkeypatch, "0.9.1")
    (tmp_path / "20300101000002_more.sql").write_text("create table more ()")
    with pytest.raises(NewerRelease, match=r"release 0\.10\.0, newer than this one \(0\.9\.1\)"):
        up(database_url, functions(tmp_path, a_v1=MAKE.format("a_v1", 1)))
    assert query(database_url, "select a_v1(), to_regclass('more')::text") == [(2, None)]
    with pytest.raises(NewerRelease):
        create_engine_tables(database_url)
    at_release(monkeypatch, "0.10.1")
    assert up(database_url, tmp_path).applied == ["20300101000002"]


def test_a_release_that_failed_blocks_older_releases(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_release(monkeypatch, "2")
    with pytest.raises(Exception, match="nope"):
        up(database_url, functions(tmp_path, a_v1="select nope"))
    at_release(monkeypatch, "1")
    with pytest.raises(NewerRelease):
        up(database_url, functions(tmp_path, a_v1=MAKE.format("a_v1", 1)))


def test_both_commands_report_a_newer_release_and_exit_0(migrated_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    query(
        migrated_url,
        "update whatsapp_migrations.release set number = '99.0.0'; drop table whatsapp_private.attempts cascade",
    )
    for command in ("up", "verify"):
        assert main([command, "--database-url", migrated_url]) == 0
        assert capsys.readouterr().out.startswith("note: the database is of release 99.0.0, newer than this one")
        assert main([command, "--json", "--database-url", migrated_url]) == 0
        assert json.loads(capsys.readouterr().out) == {"ok": True, "newer_release": "99.0.0"}
    with pytest.raises(NewerRelease):
        verify(migrated_url)
