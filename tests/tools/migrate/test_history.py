"""Our record of the applied files. The Supabase CLI has its own, which belongs to the product."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from infra.migrate import MIGRATIONS, status, up, verify
from infra.migrate.errors import HistoryLost, VersionTaken
from infra.migrate.files import read_migrations
from infra.migrate.functions import read_functions
from tests.support.migrations import directory, query, recorded

OURS = read_migrations()
VERSIONS = [migration.version for migration in OURS]

# The Supabase CLI's record with one migration of the product.
PRODUCT = """
    create schema supabase_migrations;
    create table supabase_migrations.schema_migrations (version text primary key, statements text[], name text);
    insert into supabase_migrations.schema_migrations values ('20240101000000', array['select 1'], 'product')
"""
IN_SUPABASE = "select version, name from supabase_migrations.schema_migrations order by 1"


def make_old(url: str) -> None:
    """Record our files in the Supabase CLI's history, as `up` of an earlier release did."""
    query(
        url,
        f"""{PRODUCT};
        insert into supabase_migrations.schema_migrations (version, name, statements)
        select version, name, array['create table a ()', 'create table b ()'] from whatsapp_migrations.history;
        drop schema whatsapp_migrations cascade""",
    )


def test_up_leaves_the_clis_history_alone(database_url: str) -> None:
    query(database_url, PRODUCT)
    assert up(database_url).applied == VERSIONS == recorded(database_url)
    assert query(database_url, IN_SUPABASE) == [("20240101000000", "product")]


def test_up_makes_no_history_of_the_cli(database_url: str, tmp_path: Path) -> None:
    up(database_url, directory(tmp_path, "select 1"))
    assert query(database_url, "select to_regnamespace('supabase_migrations')::text") == [(None,)]


def test_up_takes_over_old_records(migrated_url: str) -> None:
    make_old(migrated_url)
    functions = read_functions(MIGRATIONS)
    assert status(migrated_url).pending == [function.label for function in functions]
    done = up(migrated_url)
    assert (done.applied, done.taken_over, done.adopted) == ([], VERSIONS, [])
    assert done.functions == [function.name for function in functions]
    assert query(migrated_url, IN_SUPABASE) == [("20240101000000", "product")]
    assert (status(migrated_url).changed, verify(migrated_url)) == ([], [])
    assert up(migrated_url).taken_over == []


@pytest.mark.parametrize("name", ["'theirs'", "null", "''"])
def test_up_leaves_a_record_of_another_name(database_url: str, name: str) -> None:
    record = f"insert into supabase_migrations.schema_migrations (version, name) values ('{VERSIONS[0]}', {name})"
    query(database_url, f"{PRODUCT}; {record}")
    done = up(database_url)
    assert (done.applied, done.taken_over) == (VERSIONS, [])
    assert len(query(database_url, IN_SUPABASE)) == 2


def test_up_needs_no_right_to_the_clis_history(database_url: str) -> None:
    query(
        database_url,
        f"""{PRODUCT}; do $$ begin
             if to_regrole('no_cli') is null then create role no_cli login createrole; end if;
             execute format('grant create on database %I to no_cli', current_database());
           end $$;
           grant usage on schema auth to no_cli""",
    )
    url = database_url.replace("postgres@", "no_cli@")
    assert status(url).pending[0] == OURS[0].label


def test_an_old_history_without_names_is_not_ours(database_url: str) -> None:
    query(
        database_url,
        f"""create schema supabase_migrations;
           create table supabase_migrations.schema_migrations (version text not null primary key);
           insert into supabase_migrations.schema_migrations values ('{VERSIONS[0]}')""",
    )
    assert up(database_url).applied == VERSIONS


def test_supabase_history_holds_each_file_whole(database_url: str, tmp_path: Path) -> None:
    files = directory(tmp_path, "-- why\nselect 1;\nselect ';';\n")
    up(database_url, files, supabase_history=True)
    columns = query(
        database_url,
        """select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute
           where attrelid = 'supabase_migrations.schema_migrations'::regclass and attnum > 0
           order by attnum""",
    )
    assert columns == [("version", "text", True), ("statements", "text[]", False), ("name", "text", False)]
    rows = query(database_url, "select version, name, statements from supabase_migrations.schema_migrations")
    assert rows == [("20300101000001", "step", ["-- why\nselect 1;\nselect ';';\n"])]


def test_supabase_history_keeps_old_records(migrated_url: str) -> None:
    make_old(migrated_url)
    assert up(migrated_url, supabase_history=True).taken_over == VERSIONS
    kept = query(migrated_url, IN_SUPABASE)
    assert kept == [("20240101000000", "product"), *((it.version, it.name) for it in OURS)]


def test_supabase_history_adds_what_is_missing(migrated_url: str) -> None:
    query(migrated_url, f"{PRODUCT}; alter table supabase_migrations.schema_migrations drop column statements")
    assert up(migrated_url, supabase_history=True).applied == []
    assert [version for version, _ in query(migrated_url, IN_SUPABASE)] == ["20240101000000", *VERSIONS]


def test_supabase_history_refuses_a_taken_version(database_url: str) -> None:
    record = f"insert into supabase_migrations.schema_migrations (version, name) values ('{VERSIONS[1]}', 'theirs')"
    query(database_url, f"{PRODUCT}; {record}")
    with pytest.raises(VersionTaken, match=f"version {VERSIONS[1]} is recorded .* 'theirs'"):
        up(database_url, supabase_history=True)
    assert query(database_url, "select to_regclass('public.whatsapp_sessions')::text") == [(None,)]


@pytest.mark.parametrize("loss", ["drop schema whatsapp_migrations cascade", "truncate whatsapp_migrations.history"])
def test_a_complete_database_is_adopted(migrated_url: str, loss: str) -> None:
    query(migrated_url, loss)
    done = up(migrated_url)
    assert (done.applied, done.adopted) == ([], VERSIONS)
    assert (status(migrated_url).pending, verify(migrated_url)) == ([], [])


def test_an_incomplete_database_is_not_adopted(migrated_url: str) -> None:
    query(migrated_url, "drop schema whatsapp_migrations cascade; drop index public.idx_whatsapp_sessions_status")
    with pytest.raises(HistoryLost) as caught:
        up(migrated_url)
    assert "The first of 1 findings: missing: index idx_whatsapp_sessions_status" in str(caught.value)
    assert query(migrated_url, "select to_regnamespace('whatsapp_migrations')::text") == [(None,)]


def test_another_directory_adopts_nothing(migrated_url: str, tmp_path: Path) -> None:
    query(migrated_url, "drop schema whatsapp_migrations cascade")
    assert up(migrated_url, directory(tmp_path, "select 1")).applied == ["20300101000001"]


def test_a_record_without_a_file_is_reported(database_url: str, tmp_path: Path) -> None:
    up(database_url, directory(tmp_path, "select 1"))
    before = status(database_url)
    assert (before.applied, before.not_here) == ([], ["20300101000001_step"])
    assert up(database_url).applied == VERSIONS
    assert status(database_url).pending == []


def test_a_renamed_file_is_refused(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "20250111000000_theirs.sql").write_text("select 1")
    up(database_url, tmp_path)
    with pytest.raises(VersionTaken, match="20250111000000 is recorded here as 'theirs'"):
        up(database_url)


def test_a_changed_file_is_reported(database_url: str, tmp_path: Path) -> None:
    up(database_url, directory(tmp_path, "select 1"))
    found = status(database_url, directory(tmp_path, "select  1"))
    assert found.changed == found.applied == ["20300101000001_step.sql"]
    directory(tmp_path, "select 1")
    assert status(database_url, tmp_path).changed == []


def test_default_privileges_open_nothing(database_url: str, tmp_path: Path) -> None:
    grant = "alter default privileges grant select on tables to service_role, anon"
    query(database_url, f"{grant}; alter default privileges grant usage on schemas to service_role, anon")
    up(database_url, directory(tmp_path, "select 1"))
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "select has_schema_privilege('service_role', 'whatsapp_migrations', 'usage'),"
            " has_table_privilege('anon', 'whatsapp_migrations.history', 'select'), relrowsecurity"
            " from pg_class where oid = 'whatsapp_migrations.history'::regclass"
        ).fetchone()
    assert row == (False, False, True)
