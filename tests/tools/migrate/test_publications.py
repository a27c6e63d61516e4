"""Projects with a publication of another role, a publication for all tables, or a busy auth.users."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors as pg

from infra.migrate import up, verify
from infra.migrate.__main__ import main
from infra.migrate.files import read_migrations
from infra.migrate.run_file import execute
from tests.support.migrations import query

REALTIME = "select tablename from pg_publication_tables where pubname = 'supabase_realtime'"


def test_realtime_shows_the_owners_table(database_url: str) -> None:
    query(database_url, "create publication supabase_realtime")
    assert up(database_url).notices == []
    assert query(database_url, REALTIME) == [("whatsapp_sessions",)]


def test_realtime_of_another_role_is_skipped(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    query(
        database_url,
        """create publication supabase_realtime;
           do $$ begin
             if to_regrole('restored_owner') is null then create role restored_owner login createrole; end if;
             if to_regrole('whatsapp_functions') is not null then
               grant whatsapp_functions to restored_owner with admin option;
             end if;
             execute format('grant create on database %I to restored_owner', current_database());
           end $$;
           grant anon, authenticated, service_role to restored_owner with admin option;
           grant usage on schema auth to restored_owner;
           grant all on auth.users to restored_owner;
           grant usage, create on schema public to restored_owner""",
    )
    url = database_url.replace("postgres@", "restored_owner@")
    assert main(["up", "--database-url", url]) == 0
    start = "note: the publication supabase_realtime belongs to another role"
    (note,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(start)]
    query(database_url, note.partition("As a superuser: ")[2])
    assert query(database_url, REALTIME) == [("whatsapp_sessions",)]
    assert verify(url) == []


def test_a_publication_for_all_tables_does_not_stop_up(database_url: str) -> None:
    query(database_url, "create publication everything for all tables")
    up(database_url)
    assert {finding.what.partition(" of ")[0] for finding in verify(database_url)} == {"publication everything"}
    assert len(query(database_url, "select * from whatsapp_engine.whatsmeow_version")) == 1


def test_tables_of_an_older_runner_get_an_identity(migrated_url: str) -> None:
    query(migrated_url, "alter table whatsapp_engine.whatsmeow_version replica identity default")
    up(migrated_url)
    found = query(migrated_url, "select relreplident::text from pg_class where relname = 'whatsmeow_version'")
    assert found == [("f",)]


def test_a_pushed_file_gives_up_on_a_busy_auth_users(database_url: str) -> None:
    """The Supabase CLI applies the file without `up`, so the file itself must limit the wait."""
    first, second, *_ = read_migrations()
    with psycopg.connect(database_url) as other, psycopg.connect(database_url) as connection:
        execute(connection, first.text)
        connection.commit()
        other.execute("lock table auth.users in access exclusive mode")
        connection.execute("set lock_timeout = 0")
        with pytest.raises(pg.LockNotAvailable):
            execute(connection, second.text)
