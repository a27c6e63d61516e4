"""`up` applies each file once, in one transaction with its record, even when two run at once. `status` shows it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg
import pytest

from infra.migrate import MIGRATIONS, engine_tables, numbered, one_at_a_time, status, up, verify
from infra.migrate.errors import Busy, EngineTablesFailed, MigrateError, MigrationFailed, NotReachable, NotSupabase
from infra.migrate.files import read_migrations
from tests.support.migrations import directory, query, recorded

OURS = ["20250111000000", "20250112000000"]


def test_up_applies_each_file_once(database_url: str) -> None:
    applied = up(database_url).applied
    assert applied[:2] == OURS
    assert up(database_url).applied == []
    assert verify(database_url) == []
    assert recorded(database_url) == applied


def test_a_relative_path_names_our_directory(database_url: str) -> None:
    up(database_url, Path(os.path.relpath(MIGRATIONS)))
    assert verify(database_url) == []


def test_a_failure_leaves_nothing_behind(database_url: str, tmp_path: Path) -> None:
    files = directory(tmp_path, "create table a ()", "create table b ();\n\n-- here\nselect 1,\n  nope;", "select 3")
    with pytest.raises(MigrationFailed) as caught:
        up(database_url, files)
    assert str(caught.value).splitlines() == [
        '20300101000002_step.sql: column "nope" does not exist',
        "  at: line 5: nope;",
        "  nothing of this file was kept",
    ]
    assert recorded(database_url) == ["20300101000001"]
    assert query(database_url, "select to_regclass('a')::text, to_regclass('b')::text") == [("a", None)]
    directory(tmp_path, "create table a ()", "create table b ()")
    assert up(database_url, files).applied == ["20300101000002", "20300101000003"]


def test_an_error_message_never_contains_a_row(database_url: str, tmp_path: Path) -> None:
    secret = "insert into t values ('secret-qr', 1)"
    steps = f"create table t (qr text, n int); {secret}; alter table t add check (n > 1)"
    with pytest.raises(MigrationFailed) as caught:
        up(database_url, directory(tmp_path, steps))
    assert "is violated by some row" in str(caught.value)
    more = f"create table t (qr text, n int check (n > 1)); {secret}"
    with pytest.raises(MigrationFailed) as caught:
        up(database_url, directory(tmp_path, more))
    assert "violates check constraint" in str(caught.value)
    assert "Failing row" not in str(caught.value)


def test_a_failure_at_the_commit_is_reported(database_url: str, tmp_path: Path) -> None:
    steps = "create table t (id int primary key deferrable initially deferred); insert into t values (1), (1)"
    with pytest.raises(MigrationFailed, match="duplicate key"):
        up(database_url, directory(tmp_path, steps))
    assert query(database_url, "select to_regclass('t')::text") == [(None,)]


def test_parallel_runs_of_up_apply_each_file_once(database_url: str) -> None:
    start = Barrier(3)

    def run(_: int) -> list[str]:
        start.wait()
        return up(database_url).applied

    with ThreadPoolExecutor(3) as pool:
        applied = [version for versions in pool.map(run, range(3)) for version in versions]
    assert sorted(applied) == recorded(database_url)
    assert verify(database_url) == []


def test_the_engine_s_tables_need_their_schema(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_tables, "run_engine", lambda *_: None)
    with pytest.raises(EngineTablesFailed, match=r"whatsapp_engine.* does not exist"):
        engine_tables.create_engine_tables(database_url)


def test_an_engine_that_fails_prints_no_password(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "engine" / "whatsapp_engine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "tables.py").write_text("import sys; sys.exit('no luck with ' + sys.stdin.read())")
    monkeypatch.setattr(engine_tables, "LAYERS", tmp_path)
    with pytest.raises(EngineTablesFailed, match="no luck with postgresql") as caught:
        engine_tables.create_engine_tables(migrated_url.replace("postgres@", "postgres:s3cret@"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("limit", ["LOCK_SECONDS", "STATEMENT_SECONDS"])
def test_up_gives_up_on_a_lock_after_its_timeout(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(one_at_a_time, limit, 1)
    query(database_url, "create table t ()")
    with psycopg.connect(database_url) as someone:
        someone.execute("lock table t in share mode")
        with pytest.raises(Busy, match="run it again"):
            up(database_url, directory(tmp_path, "create table before (); alter table t add a int"))
    assert query(database_url, "select to_regclass('before')::text") == [(None,)]
    assert up(database_url, tmp_path).applied == ["20300101000001"]


def test_up_leaves_no_setting_on_the_session(migrated_url: str, tmp_path: Path) -> None:
    """Behind a pooler, another client gets the session next."""
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("do $$ begin end $$")  # load plpgsql, which adds settings
        before = connection.execute("select name, setting from pg_settings order by 1").fetchall()
        for migration in read_migrations(directory(tmp_path, "select 1")):
            assert numbered._apply(connection, migration)
        assert connection.execute("select name, setting from pg_settings order by 1").fetchall() == before
        for left in ("pg_locks where locktype = 'advisory'", "pg_prepared_statements"):
            assert connection.execute(f"select count(*) from {left}".encode()).fetchone() == (0,)


def test_up_works_as_a_role_that_is_no_superuser(database_url: str) -> None:
    query(
        database_url,
        """do $$ begin
             if to_regrole('supabase_postgres') is null then
               create role supabase_postgres login createrole;
             end if;
             if to_regrole('whatsapp_functions') is not null then  -- of another database of this server
               grant whatsapp_functions to supabase_postgres with admin option;
             end if;
             execute format('grant create on database %I to supabase_postgres', current_database());
           end $$;
           grant anon, authenticated, service_role to supabase_postgres with admin option;
           grant usage on schema auth to supabase_postgres;
           grant all on auth.users to supabase_postgres;
           grant usage, create on schema public to supabase_postgres;
           alter default privileges for role supabase_postgres in schema public
             grant all on tables to anon, authenticated, service_role""",
    )
    url = database_url.replace("postgres@", "supabase_postgres@")
    assert up(url).applied[:2] == OURS
    assert verify(url) == []


def test_a_database_without_supabase_is_explained(postgres: Any) -> None:
    with postgres.database() as url:
        query(url, "drop schema if exists auth cascade")
        for command in (up, verify):
            with pytest.raises(NotSupabase, match=r"the schema auth, .*stand-ins"):
                command(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres:s3cret@127.0.0.1:1/nowhere",
        "postgresql://postgres:s3cret/more@127.0.0.1:1/nowhere",
        "postgresql://postgres:s3cret@more@127.0.0.1:1/nowhere",
        "postgresql://postgres:s3cret#more@127.0.0.1:1/nowhere",
        "host=127.0.0.1 port=1 password=s3cret",
        "postgresql://postgres@127.0.0.1:1/nowhere?password=s3cret",
        "mysql://root:s3cret@127.0.0.1/x",
        " ",
    ],
)
def test_a_failed_connection_prints_no_password(url: str) -> None:
    for command in (up, status, verify):
        with pytest.raises(NotReachable) as caught:
            command(url)
        assert str(caught.value)
        assert "s3cret" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert isinstance(caught.value, MigrateError)
