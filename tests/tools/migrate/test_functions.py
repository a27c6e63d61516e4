"""Repeatable migrations: a function's file is applied when the database does not have its text yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.migrate import status, up
from infra.migrate.errors import BadMigration, MigrationFailed
from infra.migrate.functions import read_functions
from tests.support.migrations import MAKE, functions, query


def test_functions_come_last_in_name_order(database_url: str, tmp_path: Path) -> None:
    a = "create or replace function a_v1() returns setof before language sql as 'select * from before'"
    b = "create or replace function b_v1() returns setof before language sql as 'select * from a_v1()'"
    files = functions(tmp_path, b_v1=b, a_v1=a)
    assert status(database_url, files).pending[1:] == ["functions/a_v1.sql", "functions/b_v1.sql"]
    assert up(database_url, files).functions == ["a_v1", "b_v1"]
    assert status(database_url, files).applied[1:] == ["functions/a_v1.sql", "functions/b_v1.sql"]
    assert up(database_url, files).functions == []


def test_a_changed_function_is_applied_again(database_url: str, tmp_path: Path) -> None:
    files = functions(tmp_path, a_v1=MAKE.format("a_v1", 1), b_v1=MAKE.format("b_v1", 1))
    up(database_url, files)
    functions(tmp_path, a_v1=MAKE.format("a_v1", 2))
    assert status(database_url, files).pending == ["functions/a_v1.sql"]
    assert up(database_url, files).functions == ["a_v1"]
    assert query(database_url, "select a_v1(), b_v1()") == [(2, 1)]


def test_an_earlier_text_of_a_function_is_applied_again(database_url: str, tmp_path: Path) -> None:
    for number in (1, 2, 1):
        assert up(database_url, functions(tmp_path, a_v1=MAKE.format("a_v1", number))).functions == ["a_v1"]
        assert query(database_url, "select a_v1()") == [(number,)]


def test_a_failing_function_keeps_the_old_one(database_url: str, tmp_path: Path) -> None:
    up(database_url, functions(tmp_path, a_v1=MAKE.format("a_v1", 1)))
    files = functions(tmp_path, a_v1=MAKE.format("a_v1", 2) + ";\nselect nope")
    with pytest.raises(MigrationFailed) as caught:
        up(database_url, files)
    assert str(caught.value).splitlines() == [
        'functions/a_v1.sql: column "nope" does not exist',
        "  at: line 2: select nope",
        "  nothing of this file was kept",
    ]
    assert query(database_url, "select a_v1()") == [(1,)]
    assert status(database_url, files).pending == ["functions/a_v1.sql"]


def test_a_file_must_create_its_function(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(MigrationFailed, match="makes no function with the name a_v2"):
        up(database_url, functions(tmp_path, a_v2=MAKE.format("a_v1", 1)))
    assert query(database_url, "select to_regproc('a_v1')::text") == [(None,)]


MAKE_TRIGGER = """
create or replace function a_v1() returns trigger language plpgsql as 'begin return new; end';
CREATE OR REPLACE TRIGGER a_before
BEFORE INSERT ON before FOR EACH ROW EXECUTE FUNCTION a_v1();
"""


def test_a_trigger_lost_with_its_table_is_made_again(database_url: str, tmp_path: Path) -> None:
    files = functions(tmp_path, a_v1=MAKE_TRIGGER)
    assert up(database_url, files).functions == ["a_v1"]
    query(database_url, "drop table before; create table before ()")
    assert status(database_url, files).pending == ["functions/a_v1.sql"]
    assert up(database_url, files).functions == ["a_v1"]
    assert query(database_url, "select tgname from pg_trigger where tgname = 'a_before'") == [("a_before",)]
    assert up(database_url, files).functions == []


@pytest.mark.parametrize(
    "name",
    ["a.sql", "a_v.sql", "a_v0.sql", "A_v1.sql", "a-b_v1.sql", "1_v1.sql", "a_v1.SQL", "a_v1.sql.bak", "a_v1b.sql"],
)
def test_a_misnamed_file_is_refused(tmp_path: Path, name: str) -> None:
    functions(tmp_path)
    (tmp_path / "functions" / name).write_text("select 1")
    with pytest.raises(BadMigration, match=r"named <function>_v<number>\.sql"):
        read_functions(tmp_path)


def test_a_misnamed_file_stops_up(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(BadMigration):
        up(database_url, functions(tmp_path, a="select 1"))
    assert query(database_url, "select to_regclass('before')::text") == [(None,)]
