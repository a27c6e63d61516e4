"""What each login role may not do. A thief of its database URL could not do it either.

``test_functions.py`` has the functions that a login may call. ``test_sequences.py`` has sequences of allowed calls.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors as pg
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.engine import LoggedOut, Online, Qr, Reached, Scanned, Synced

from infra.migrate.checked_objects import LOGINS
from infra.sandbox.process import SandboxProcess
from tests.support.adv_secret import Secret
from tests.support.logins import login
from tests.support.repositories import World
from tests.support.sandbox_client import SandboxClient

USER, ATTEMPT, DEVICE = "gen_random_uuid()", "whatsapp_private.attempts", "whatsapp_private.devices"
SESSIONS, ANSWERS = "whatsapp_private.sessions", "whatsapp_private.answers"
ROWS, KEYS = "public.whatsapp_sessions", "whatsapp_engine.whatsmeow_device"
# A time far ahead: the engines of these tests need no lease.
LONG = time.monotonic() + 24 * 3600
OURS = (ATTEMPT, DEVICE, SESSIONS, ANSWERS, ROWS)

NOBODY = [
    *(f"create table {schema}.mine (id int)" for schema in ("public", "auth", "whatsapp_private", "whatsapp_engine")),
    "create schema mine",
    "create role mine",
    "create function public.mine() returns int language sql as 'select 1'",
    "alter role postgres password 'mine'",
    *(f"grant {role} to current_user" for role in ("service_role", "authenticated", "whatsapp_functions")),
    "select from auth.users",
    "select id from auth.users",
    "insert into auth.users default values",
    "select from whatsapp_migrations.history",
    "select rolpassword from pg_authid",
    "select pg_read_file('/etc/passwd')",
    "copy (select 1) to program 'true'",
    "set session authorization postgres",
    *(f"set role {role}" for role in ("postgres", "service_role", "anon", "authenticated", "whatsapp_functions")),
    *(
        statement.format(table)
        for table in (*OURS, KEYS)
        for statement in (
            "truncate {}",
            "drop table {}",
            "alter table {} disable row level security",
            "alter table {} owner to current_user",
            "create policy mine on {} using (true)",
            "create index on {} ((1))",
        )
    ),
]
NO_KEYS = [
    f"select from {KEYS}",
    f"select jid from {KEYS}",
    f"select adv_key, noise_key, identity_key from {KEYS}",
    f"update {KEYS} set jid = 'mine'",
    f"delete from {KEYS}",
    "select from whatsapp_engine.whatsmeow_sessions",
    "select from whatsapp_engine.whatsmeow_lid_map",
]
DENIED = {
    "whatsapp_api": [
        *NO_KEYS,
        # This role calls functions, and has no right on any table.
        *(f"select from {table}" for table in OURS),
        *(f"delete from {table}" for table in OURS),
        *(f"insert into {table} default values" for table in OURS),
        f"select task_token from {ATTEMPT}",
        f"update {ATTEMPT} set task_token = 'mine'",
        f"update {ATTEMPT} set ended_at = null",
        f"update {DEVICE} set state = 'linked'",
        f"update {SESSIONS} set qr_code = 'mine'",
        f"update {ROWS} set session_status = 'connected'",
        *(f"set role {other}" for other in ("whatsapp_worker", "whatsapp_engine")),
    ],
    "whatsapp_worker": [
        *NO_KEYS,
        f"insert into {ATTEMPT} (id, user_id, number, deadline) values ({USER}, {USER}, 1, now())",
        f"update {ATTEMPT} set superseded = true",
        *(
            f"update {ATTEMPT} set {change}"
            for change in (
                f"id = {USER}", f"user_id = {USER}", "number = 1", "deadline = now()", "ended_at = null",
                "outcome = null", "verdict = null", "lease_id = null", "failures = 0", "phase = 'auth'",
            )
        ),
        f"insert into {DEVICE} (user_id, attempt_id, fingerprint) values ({USER}, {USER}, '')",
        *(
            f"update {DEVICE} set {change}"
            for change in (
                f"id = {USER}", f"user_id = {USER}", f"attempt_id = {USER}", "fingerprint = ''", "created_at = now()",
            )
        ),
        f"select qr_code from {SESSIONS}",
        f"select ended_reason from {SESSIONS}",
        f"update {SESSIONS} set qr_code = 'mine'",
        f"update {SESSIONS} set user_id = {USER}",
        f"insert into {SESSIONS} (user_id, qr_code) values ({USER}, 'mine')",
        f"delete from {SESSIONS}",
        f"select answer from {ANSWERS}",
        f"select * from {ANSWERS}",
        f"update {ANSWERS} set answer = '{{}}'",
        f"insert into {ANSWERS} (call_id, answer) values ({USER}, '{{}}')",
        f"select qr_code from {ROWS}",
        f"select phone_number from {ROWS}",
        f"select * from {ROWS}",
        f"insert into {ROWS} (user_id) values ({USER})",
        f"update {ROWS} set session_status = 'connected'",
        f"delete from {ROWS}",
        *(f"set role {other}" for other in ("whatsapp_api", "whatsapp_engine")),
    ],
    "whatsapp_engine": [
        *(f"select from {table}" for table in OURS),
        *(f"delete from {table}" for table in OURS),
        f"alter table {KEYS} add mine int",
        "insert into whatsapp_engine.whatsmeow_version values (1, 1)",
        "update whatsapp_engine.whatsmeow_version set version = 1",
        "delete from whatsapp_engine.whatsmeow_version",
        *(f"set role {other}" for other in ("whatsapp_api", "whatsapp_worker")),
    ],
}  # fmt: skip


@pytest.fixture(scope="module", params=LOGINS)
def connection(
    request: pytest.FixtureRequest, admin: psycopg.Connection, postgres: object
) -> Iterator[psycopg.Connection]:
    """A connection with the real login of one of the roles."""
    url = login(postgres.url(admin.info.dbname), request.param)  # type: ignore[attr-defined]
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_every_login_role_has_a_list_of_refusals() -> None:
    assert set(DENIED) == set(LOGINS)


def test_each_login_has_no_special_attribute(connection: psycopg.Connection) -> None:
    (row,) = connection.execute(
        "select session_user::text, current_user::text, rolsuper or rolcreaterole or rolcreatedb or rolreplication or"
        " rolbypassrls from pg_roles where rolname = session_user"
    )
    assert row == (connection.info.user, connection.info.user, False)


def test_a_login_may_not_do_what_it_does_not_need(connection: psycopg.Connection) -> None:
    allowed = []
    for statement in NOBODY + DENIED[connection.info.user]:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(statement.encode())
                allowed.append(statement)
        except pg.InsufficientPrivilege:
            pass
    assert allowed == []


def test_a_login_cannot_grant_its_rights(connection: psycopg.Connection) -> None:
    """Postgres answers a role without the grant option with a warning, not with an error."""
    rights = "select oid, relacl::text from pg_class order by oid"
    before = connection.execute(rights).fetchall()
    for table in (*OURS, KEYS):
        with contextlib.suppress(pg.InsufficientPrivilege):
            connection.execute(f"grant all on {table} to public".encode())
    assert connection.execute(rights).fetchall() == before


def test_a_login_is_a_member_of_no_role(connection: psycopg.Connection) -> None:
    """A member of ``authenticated`` could become any user of the whole product by setting claims."""
    query = "select roleid::regrole::text from pg_auth_members where member = session_user::regrole"
    assert connection.execute(query).fetchall() == []


def test_the_owner_of_the_functions_is_no_login(connection: psycopg.Connection) -> None:
    """Row level security applies to the functions, because their owner owns no table and has no BYPASSRLS."""
    query = "select rolcanlogin or rolsuper or rolbypassrls or rolcreaterole from pg_roles where rolname = %s"
    assert connection.execute(query, ("whatsapp_functions",)).fetchone() == (False,)
    query = "select relname from pg_class where relowner = 'whatsapp_functions'::regrole and relkind <> 'c'"
    assert connection.execute(query).fetchall() == []
    query = "select roleid::regrole::text from pg_auth_members where member = 'whatsapp_functions'::regrole"
    assert connection.execute(query).fetchall() == []


def test_connections_are_bounded_and_none_idles_with_locks(connection: psycopg.Connection) -> None:
    """Each role may have a quarter of the server's connections. Behind a pooler, the pool is the smaller limit."""
    (row,) = connection.execute(
        "select rolconnlimit, current_setting('max_connections')::int / 4,"
        " current_setting('idle_in_transaction_session_timeout') from pg_roles where rolname = session_user"
    )
    assert row[0] == row[1]
    assert row[2] == "5s"


def test_the_lookup_of_keys_uses_its_index(world: World) -> None:
    for number in range(3):
        world.store_keys(Secret(str(number)), f"52155500{number}:1@s.whatsapp.net")
    columns = "registration_id, noise_key, identity_key, signed_pre_key, signed_pre_key_id, signed_pre_key_sig"
    rest = "adv_details, adv_account_sig, adv_account_sig_key, adv_device_sig"
    world.sql(
        f"INSERT INTO {KEYS} (jid, adv_key, {columns}, {rest}) SELECT n::text, sha256(n::text::bytea), {columns},"
        f" {rest} FROM generate_series(1, 3000) n, (SELECT * FROM {KEYS} LIMIT 1) AS one"
    )
    world.sql(f"ANALYZE {KEYS}")
    with psycopg.connect(world.url) as connection:
        scans = f"SELECT pg_stat_get_xact_numscans('{KEYS}'::regclass)"
        (jid,) = connection.execute("SELECT whatsapp_private.stored_jid(%s)", (Secret("2").fingerprint,))
        assert jid == ("521555002:1@s.whatsapp.net",)
        assert connection.execute(scans).fetchone() == (0,)
        connection.execute(f"SELECT FROM {KEYS} WHERE jid || '' = 'x'")
        assert connection.execute(scans).fetchone() == (1,)  # how a sequential scan would look


def test_the_engine_pairs_and_logs_out_with_its_own_login(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whatsapp = SandboxProcess.start(tmp_path)
    try:
        for name, value in whatsapp.engine_environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.syspath_prepend(whatsapp.engine_environment()["PYTHONPATH"])
        engine = ProcessEngine(lambda: login(world.url, "whatsapp_engine"))
        engine.create_tables()
        with engine.pair(LONG) as run:
            seen: list[object] = []
            while not isinstance(seen and seen[-1], Online):
                event = run.next_event(30)
                assert isinstance(event, Reached | Qr | Scanned | Online | Synced), (event, seen)
                seen.append(event)
                if isinstance(event, Qr):
                    SandboxClient(whatsapp.ready["control"]).scan(event.text, "34600000900")
        (scanned,) = [event for event in seen if isinstance(event, Scanned)]
        assert world.value(f"SELECT count(*) FROM {KEYS}") == 1
        with engine.log_out(scanned.jid, LONG) as run:
            while not isinstance(event := run.next_event(30), LoggedOut):
                assert isinstance(event, Reached | Online | Synced), event
                if isinstance(event, Online):
                    run.confirm()
        assert world.value(f"SELECT count(*) FROM {KEYS}") == 0
    finally:
        whatsapp.stop()
