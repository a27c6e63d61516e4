"""A migration's text cut into statements, as the Supabase CLI records it."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.pq import ExecStatus

from infra.migrate.files import read_migrations
from infra.migrate.statements import first_word, split

# Each is one statement, with a semicolon inside that ends nothing.
WHOLE = [
    "select 1",
    "select ';'",
    "select 'it''s; fine'",
    r"select E'\'; still inside'",
    r"select e'a\\'",
    'select 1 as "a;b"',
    'select 1 as "a"";b"',
    "select $$;$$",
    "select $tag$ $$ ; $other$ ; $tag$",
    "select $ü$;$ü$",
    "do $$ begin perform 1; perform 2; end $$",
    "do $body$ begin execute 'select $$;$$'; end $body$",
    "-- a comment; with ' and $$ and \"\nselect 1",
    "/* one; /* nested; */ still; */ select 1",
    "select 1 -- no end; here",
    "select 1 /* ; */",
    "select a$b, b$c from (values (1, 2)) as t (a$b, b$c)",
    "select 1 + $1",
    "select type';'",
    "create rule r as on insert to t do also (insert into u values (1); insert into u values (2))",
    "create function f() returns int begin atomic select 1; select case when true then 1 else 2 end; end",
    "create function f() returns int\nBEGIN\n  ATOMIC select 1; END",
    "select U&'d\\0061t;'",
    "select 'across\nlines;\n'",
    "select ')' || '(' -- ( ;\n || $$($$",
]


@pytest.mark.parametrize("statement", WHOLE)
def test_a_statement_stays_whole(statement: str) -> None:
    assert split(statement) == [statement]
    assert split(f"{statement}\n;\nselect 2;") == [statement, "select 2"]


@given(st.lists(st.sampled_from(WHOLE)), st.text(" \t\n", max_size=3))
def test_any_sequence_is_cut_where_it_was_joined(statements: list[str], space: str) -> None:
    assert split("".join(f"{space}{statement}\n;" for statement in statements) + space) == statements


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        (" ;; \n;", []),
        ("select 1", ["select 1"]),
        ("select 1;select 2", ["select 1", "select 2"]),
        ("-- first\nselect 1;\n-- second\nselect 2;\n", ["-- first\nselect 1", "-- second\nselect 2"]),
        ("select 1;\n-- the end\n", ["select 1", "-- the end"]),
        ("select (1; select 2", ["select (1; select 2"]),
        ("select 1); select 2", ["select 1)", "select 2"]),
    ],
)
def test_edges(text: str, statements: list[str]) -> None:
    assert split(text) == statements


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("select 1;\nselect 'x", 2),
        ('select "x', 1),
        ("\n\ndo $a$ $b$", 3),
        ("/* /* */", 1),
        ("select 'x''", 1),
    ],
)
def test_an_open_end_is_named_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=rf"line {line}: .* never closed"):
        split(text)


@settings(max_examples=300)
@given(st.text("aE1 '\"$-/*();\\\n"))
def test_noise_loses_no_character_and_never_hangs(text: str) -> None:
    try:
        pieces = split(text)
    except ValueError:
        return
    assert "".join("".join(pieces).split()).replace(";", "") == "".join(text.split()).replace(";", "")


@pytest.mark.parametrize(
    ("statement", "word"),
    [("/* a */ -- b\n Begin", "begin"), ("(select 1)", ""), ("", ""), ("-- only", ""), ("do $$ $$", "do")],
)
def test_first_word(statement: str, word: str) -> None:
    assert first_word(statement) == word


def test_postgres_takes_each_of_our_statements_alone(database_url: str) -> None:
    """The extended protocol refuses two statements in one: it is the judge of our cuts."""
    with psycopg.connect(database_url) as connection:
        for migration in read_migrations():
            for statement in migration.statements:
                result = connection.pgconn.exec_params(statement.encode(), [])
                assert result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK), result.error_message
