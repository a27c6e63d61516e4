"""A file is sent as one query in the caller's transaction. A refusal names the line."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from infra.migrate.run_file import execute, explained


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection outside a transaction."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def run(connection: psycopg.Connection, text: str) -> list[str]:
    """Run a file in a transaction, and return the lines of the refusal."""
    try:
        with connection.transaction():
            execute(connection, text)
    except psycopg.Error as problem:
        return str(explained("file", problem, text=text)).splitlines()
    return []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-- nothing but a comment\n",
        "select 1;; select ';'",
        "create table a (id int); insert into a values (1); alter table a add b int; update a set b = id; drop table a",
        r"select 'it''s', E'\'', $$;$$, $a$ $$ ; $a$, '\' /* ; /* ; */ */ -- ;",
        "select '%', '%s', '{}', 'ñ€𝄞'",
        "create function f() returns int begin atomic; select case when true then 1 end; end; select f()",
        "create table r (); create rule r as on delete to r do also (select 1; select 2); delete from r",
        "set local lock_timeout = '5s'; create temp table t () on commit drop",
        "create type e as enum ('a'); alter type e add value 'b'",
        "do $$ begin begin perform 1 / 0; exception when others then null; end; end $$",
    ],
)
def test_a_file_may_hold_any_statements(connection: psycopg.Connection, text: str) -> None:
    assert run(connection, text) == []


@pytest.mark.parametrize(
    "control",
    [
        "begin", "BEGIN WORK", "start transaction", "commit", "COMMIT AND CHAIN", "end", "rollback", "abort",
        "commit; begin", "rollback; begin", "savepoint a", "/* a */ -- b\n commit", "prepare transaction 'x'",
        "do $$ begin commit; end $$", "do $$ begin rollback; end $$",
    ],
)  # fmt: skip
def test_a_file_cannot_end_its_transaction(connection: psycopg.Connection, control: str) -> None:
    lines = run(connection, f"create table kept (); {control}; create table more ()")
    assert lines[-1] == "  nothing of this file was kept"
    assert connection.info.transaction_status == TransactionStatus.IDLE
    assert connection.execute("select to_regclass('kept')::text, to_regclass('more')::text").fetchone() == (None, None)
    if not control.startswith("do"):
        assert "each file runs in one transaction" in "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("select 1;\n\n  select 'ñ', nope;", "line 3: select 'ñ', nope;"),
        ("select 1;\nselekt 2;", "line 2: selekt 2;"),
        ("select 1;\nselect 'open", "line 2: select 'open"),
        ("select 1; /* open", "line 1: select 1; /* open"),
        ("create table t ();\ncreate index on t (a);", None),
        (
            "select 1;\ndo $$\nbegin\n  raise 'no';\nend $$",
            "PL/pgSQL function inline_code_block line 3 at RAISE",
        ),
        ("do $$ begin\n\nselect nope; end $$", "line 3: select nope; end $$"),
        ("create function f() returns int language plpgsql as $$\nbegin\n  retrn 1;\nend $$", "line 3: retrn 1;"),
    ],
)
def test_a_refusal_names_the_line(connection: psycopg.Connection, text: str, where: str | None) -> None:
    lines = run(connection, text)
    assert [line for line in lines if line.startswith("  at: ")] == ([f"  at: {where}"] if where else [])
    assert len(lines) == 3 if where else 2


def test_the_message_begins_with_the_file(connection: psycopg.Connection) -> None:
    assert run(connection, "select 1 / 0") == ["file: division by zero", "  nothing of this file was kept"]


def test_a_file_needs_a_transaction(connection: psycopg.Connection) -> None:
    with pytest.raises(RuntimeError):
        execute(connection, "select 1")
