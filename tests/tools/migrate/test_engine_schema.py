"""Before the engine makes its tables, its own way to log in must lead to our schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from infra.migrate import engine_tables, up, verify
from infra.migrate.engine_schema import require_engine_schema
from infra.migrate.engine_tables import create_engine_tables
from infra.migrate.errors import EngineTablesFailed
from tests.support import pgbouncer
from tests.support.migrations import query
from tests.support.pooler import Pooler, pooling

TABLES = "select schemaname from pg_tables where tablename like 'whatsmeow%' group by 1"
OURS = "select to_regnamespace('whatsapp_private') is not null"


@pytest.fixture
def dropping(postgres: Any) -> Iterator[Pooler]:
    """A pooler that passes everything on except the options."""
    with pooling(postgres.port) as pooler:
        pooler.drops = {"options"}
        yield pooler


def through(url: str, port: int) -> str:
    """The URL of the same database at another port, with a password."""
    return f"postgresql://postgres:s3cret@127.0.0.1:{port}/{url.rpartition('/')[2]}"


def refusal(url: str, work: Any = create_engine_tables) -> str:
    with pytest.raises(EngineTablesFailed) as caught:
        work(url)
    told = str(caught.value)
    assert "\n" not in told
    assert "s3cret" not in told
    return told


def test_up_changes_nothing_if_the_options_are_dropped(dropping: Pooler, database_url: str) -> None:
    told = refusal(through(database_url, dropping.port), up)
    assert 'the search_path "$user", public instead of whatsapp_engine' in told
    assert told.endswith("give the URL of the database itself, or of a pooler that passes the parameter options on")
    assert query(database_url, OURS) == [(False,)]
    assert query(database_url, TABLES) == []


def test_the_engine_alone_would_use_another_schema(dropping: Pooler, database_url: str) -> None:
    """This is what the check prevents."""
    engine_tables.run_engine(through(database_url, dropping.port), "")
    assert query(database_url, TABLES) == [("public",)]


def test_a_pooler_that_passes_the_options_on_is_accepted(dropping: Pooler, database_url: str) -> None:
    """As Supabase's session pooler, it drops search_path as a parameter of its own."""
    dropping.drops = {"search_path"}
    up(through(database_url, dropping.port))
    assert query(database_url, TABLES) == [("whatsapp_engine",)]
    assert verify(database_url) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"ignore_startup_parameters": "options"}, 'the search_path "$user", public instead of whatsapp_engine'),
        (
            {"ignore_startup_parameters": "options", "connect_query": "set search_path = auth"},
            "the search_path auth instead of whatsapp_engine",
        ),
        ({}, "unsupported startup parameter: options; give the URL"),
    ],
    ids=["ignores", "sets another", "refuses"],
)
def test_a_pgbouncer_without_the_options_is_refused(
    postgres: Any, migrated_url: str, settings: dict[str, str], told: str
) -> None:
    pgbouncer.require()
    query(migrated_url, "drop schema whatsapp_engine cascade; create schema whatsapp_engine")
    with pgbouncer.pooling(postgres.port, pool_mode="session", **settings) as pooler:
        assert told in refusal(through(migrated_url, pooler.port))
    assert query(migrated_url, TABLES) == []


def test_a_role_setting_replaces_dropped_options(dropping: Pooler, migrated_url: str) -> None:
    database = migrated_url.rpartition("/")[2]
    query(migrated_url, f"alter role postgres in database {database} set search_path = whatsapp_engine")
    require_engine_schema(through(migrated_url, dropping.port))


def test_a_setting_does_not_beat_the_login_s_options(database_url: str) -> None:
    database = database_url.rpartition("/")[2]
    query(database_url, f"alter database {database} set search_path = auth")
    query(database_url, f"alter role postgres in database {database} set search_path = public, auth")
    up(database_url)
    assert query(database_url, TABLES) == [("whatsapp_engine",)]


def test_a_login_trigger_that_sets_search_path_is_refused(migrated_url: str) -> None:
    with psycopg.connect(migrated_url) as connection:
        if connection.info.server_version < 170000:
            pytest.skip("PostgreSQL has triggers on login since 17")
    query(
        migrated_url,
        "create function public.at_login() returns event_trigger language plpgsql as"
        " 'begin perform set_config(''search_path'', ''public'', false); end';"
        "create event trigger at_login on login execute function public.at_login()",
    )
    assert "the search_path public instead of whatsapp_engine" in refusal(migrated_url)


def test_other_options_of_the_url_are_kept(database_url: str) -> None:
    up(
        f"{database_url}?connect_timeout=5&application_name=x&options=-cgeqo%3Doff%20-csearch_path%3Dauth&sslmode=disable"
    )
    assert query(database_url, TABLES) == [("whatsapp_engine",)]


def test_a_server_without_tls_is_named(migrated_url: str) -> None:
    told = refusal(f"{migrated_url}?sslmode=require", require_engine_schema)
    assert told.startswith("the engine cannot log in: ")
    assert "server does not support SSL" in told
