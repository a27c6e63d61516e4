"""The real engine creates whatsmeow's tables. A refusal of Postgres is reported with SQLSTATE and table."""

from __future__ import annotations

import psycopg
import pytest

from infra.migrate import engine_tables, up, verify
from infra.migrate.engine_tables import create_engine_tables
from infra.migrate.errors import EngineTablesFailed, NotReachable
from tests.support.migrations import query

VERSION, DEVICE = "whatsapp_engine.whatsmeow_version", "whatsapp_engine.whatsmeow_device"
TRIGGER = "whatsmeow_device_keeps_keys_apart"
ANEW = "drop schema whatsapp_engine cascade; create schema whatsapp_engine; "


def refusal(url: str) -> str:
    with pytest.raises(EngineTablesFailed) as caught:
        create_engine_tables(url)
    assert "reachable" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def engine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out our own statement before the engine's, so that Postgres refuses the engine itself."""
    monkeypatch.setattr(engine_tables, "VERSION", "select 1")


def test_a_foreign_table_of_the_engine_s_name_is_named(migrated_url: str) -> None:
    query(migrated_url, f"{ANEW} create table {DEVICE} (mine text)")
    told = refusal(migrated_url)
    assert "SQLSTATE 42P07" in told
    assert "whatsmeow_device, failed to upgrade database, failed to run upgrade v0->v" in told
    assert told.endswith("rename it and run it again")


def test_a_view_of_the_engine_s_name_is_named(migrated_url: str) -> None:
    query(migrated_url, f"{ANEW} create view {VERSION} as select 1 as version")
    assert "SQLSTATE 42809" in refusal(migrated_url)


@pytest.mark.usefixtures("engine_alone")
def test_a_missing_replica_identity_is_explained(migrated_url: str) -> None:
    query(migrated_url, f"{ANEW} create publication everything for all tables")
    told = refusal(migrated_url)
    assert "SQLSTATE 55000" in told
    assert "whatsmeow_version" in told
    assert "REPLICA IDENTITY" in told


@pytest.mark.usefixtures("engine_alone")
def test_the_engine_reports_a_read_only_database(migrated_url: str) -> None:
    name = migrated_url.rpartition("/")[2]
    query(migrated_url, f"{ANEW} alter database {name} set default_transaction_read_only = on")
    assert "SQLSTATE 25006 (the database is read-only)" in refusal(migrated_url)


def test_up_reports_a_read_only_database(migrated_url: str) -> None:
    name = migrated_url.rpartition("/")[2]
    query(migrated_url, f"{ANEW} alter database {name} set default_transaction_read_only = on")
    told = refusal(migrated_url)
    assert "(SQLSTATE 25006)" in told
    assert told.endswith("give the URL of a database that may be written")


@pytest.mark.usefixtures("engine_alone")
@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        ("grant usage on schema whatsapp_engine to stranger", "42501 (the role lacks a right): schema whatsapp_engine"),
        ("", "SQLSTATE 3F000"),
        (
            f"create table {VERSION} (version int, compat int); grant all on schema whatsapp_engine to stranger",
            # whatsmeow does not see a table that it may not read, so it tries to create the table.
            "42P07 (a table of that name is there already; another role or program has made it): whatsmeow_version",
        ),
        (
            f"create table {VERSION} (version int); grant all on schema whatsapp_engine to stranger;"
            f" grant all on {VERSION} to stranger",
            "42501 (the role lacks a right): whatsmeow_version",
        ),
    ],
    ids=["create", "usage", "read", "own"],
)
def test_a_missing_right_is_reported_with_its_object(migrated_url: str, prepare: str, told: str) -> None:
    query(
        migrated_url,
        f"{ANEW} do $$ begin if to_regrole('stranger') is null then create role stranger login; end if; end $$;"
        "grant usage on schema whatsapp_migrations to stranger;"
        "grant select on all tables in schema whatsapp_migrations to stranger;" + prepare,
    )
    words = refusal(migrated_url.replace("postgres@", "stranger@"))
    assert told in words
    assert "give the URL of the role that owns" in words


@pytest.mark.parametrize("table", [VERSION, DEVICE])
def test_a_lock_is_reported_with_its_table(migrated_url: str, table: str) -> None:
    query(migrated_url, f"alter database {migrated_url.rpartition('/')[2]} set lock_timeout = '1s'")
    with psycopg.connect(migrated_url) as other:
        other.execute(f"lock table {table} in access exclusive mode".encode())
        told = refusal(migrated_url)
    assert "55P03" in told
    assert table in told
    assert told.endswith("run it again")
    create_engine_tables(migrated_url)


def test_tables_of_a_newer_engine_are_reported(migrated_url: str) -> None:
    [(ours,)] = query(migrated_url, f"select version from {VERSION}")
    query(migrated_url, f"update {VERSION} set version = 1000, compat = 1000")
    assert refusal(migrated_url).endswith(f"knows only {ours}: run the newer release")


def test_newer_tables_may_allow_an_older_engine(migrated_url: str) -> None:
    """whatsmeow stores beside the version the oldest version whose engines may open the tables."""
    query(migrated_url, f"update {VERSION} set version = 1000, compat = version")
    create_engine_tables(migrated_url)
    assert query(migrated_url, f"select version from {VERSION}") == [(1000,)]


def test_a_device_name_with_a_comma_does_not_stop_up(migrated_url: str) -> None:
    """neonize separates a device's fields with commas, and a name may contain one."""
    query(
        migrated_url,
        f"insert into {DEVICE} (jid, lid, registration_id, noise_key, identity_key, signed_pre_key, signed_pre_key_id,"
        " signed_pre_key_sig, adv_key, adv_details, adv_account_sig, adv_account_sig_key, adv_device_sig, platform,"
        " business_name, push_name) select '34600:1@s.whatsapp.net', null, 1, k, k, k, 1, k || k, k, '', k || k, k,"
        " k || k, '', 'A, B', 'C, D' from (select decode(repeat('ab', 32), 'hex') as k) as key",
    )
    create_engine_tables(migrated_url)


def test_an_unreachable_database_is_reported() -> None:
    with pytest.raises(NotReachable):
        create_engine_tables("postgresql://postgres:s3cret@127.0.0.1:1/nowhere")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://postgres:s3cret@127.0.0.1:1/hidden", "Postgres cannot be reached: connection refused"),
        ("{}hidden", "SQLSTATE 3D000 (there is no such database)"),
        ("{}?sslmode=require", "TLS to Postgres fails"),
    ],
)
def test_the_engine_alone_reports_what_refuses_it(migrated_url: str, url: str, told: str) -> None:
    with pytest.raises(EngineTablesFailed) as caught:
        engine_tables.run_engine(url.format(migrated_url), "")
    assert told in str(caught.value)
    for word in ("hidden", "s3cret", "127.0.0.1"):
        assert word not in str(caught.value)


def test_tables_that_are_made_anew_get_their_trigger(migrated_url: str) -> None:
    query(migrated_url, "drop schema whatsapp_engine cascade; create schema whatsapp_engine")
    query(migrated_url, "grant usage on schema whatsapp_engine to whatsapp_engine")
    assert up(migrated_url).functions == ["keep_keys_apart_v1"]
    assert verify(migrated_url) == []


def test_an_upgrade_of_the_engine_keeps_the_trigger(migrated_url: str) -> None:
    """During the upgrade, whatsmeow changes its table and reads and writes rows."""
    query(migrated_url, f"alter table {DEVICE} add column later text not null default ''")
    create_engine_tables(migrated_url)
    assert verify(migrated_url) == []


def test_an_adopted_database_gets_the_trigger(migrated_url: str) -> None:
    """The database is a dump without our record. Its engine tables are older than the trigger."""
    query(migrated_url, f"drop schema whatsapp_migrations cascade; drop trigger {TRIGGER} on {DEVICE}")
    done = up(migrated_url)
    assert done.applied == []
    assert done.adopted
    assert "keep_keys_apart_v1" in done.functions
    assert verify(migrated_url) == []
