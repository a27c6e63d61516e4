"""The snapshot that `verify` reads equals the result of the migrations."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from infra.migrate.__main__ import main
from infra.migrate.catalog_facts import read_facts
from infra.migrate.expected import SNAPSHOT, expected, snapshot


def test_the_command_reproduces_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "expected.json"
    assert main(["snapshot", "--file", str(written)]) == 0
    assert written.read_text() == SNAPSHOT.read_text(), "run `python -m infra.migrate snapshot` and review the diff"
    assert capsys.readouterr().out == f"{written}: changed\n"
    assert main(["snapshot", "--file", str(written)]) == 0
    assert capsys.readouterr().out == f"{written}: as before\n"


def test_every_version_makes_the_same_facts(migrated_url: str) -> None:
    """The file was written on PostgreSQL 16. TEST_POSTGRES chooses another version."""
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        assert snapshot(read_facts(connection)) == SNAPSHOT.read_text()


def test_the_snapshot_lists_parents_before_their_children() -> None:
    seen = {""}
    for fact in expected():
        assert fact.parent in seen, fact
        seen.add(fact.name)


def test_a_fact_without_its_object_is_refused() -> None:
    facts = {"schema s": "present", "table s.t": "present", "column s.t.c": "text"}
    assert '"column s.t.c": "text"' in snapshot(facts)
    del facts["table s.t"]
    with pytest.raises(ValueError, match=r"not there: table s\.t"):
        snapshot(facts)
