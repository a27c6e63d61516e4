"""All steps as Supabase's role `postgres`: it is no superuser, and owns neither auth.users nor the API's roles.

The tests have a server of their own, because roles belong to the whole server and this role must create them. Its
rights follow the migrations of the repositories supabase/postgres and supabase/auth.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from infra.local.standins.database import ROLES, login_urls, prepare
from infra.migrate import up, verify
from infra.migrate.checked_objects import ROLES as ALL_ROLES
from infra.migrate.try_writes import try_writes
from infra.postgres import SUPABASE
from tests.support.adv_secret import Secret
from tests.support.logins import connect
from tests.support.postgres import Postgres, serving
from tests.support.repositories import World

OWNER = "supabase_postgres"
# These functions read or delete keys. No other role may do that.
OF_THE_OWNER = {
    "count_contacts_v1", "forget_contacts_v1", "forget_number_v1", "forget_v1", "keep_keys_apart_v1",
    "unexplained_keys_v1",
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server without any role of ours."""
    with serving() as server:
        with server.connect() as connection:
            connection.execute(f"create role {OWNER} login createdb createrole replication bypassrls".encode())
        yield server


@pytest.fixture(scope="module")
def owner_url(server: Postgres) -> str:
    """A database as Supabase provides it, migrated by the role of Supabase's customers."""
    name = server.create()
    with server.connect(name) as connection:
        connection.execute(SUPABASE.read_bytes())
        admin = "with admin option" if connection.info.server_version >= 160000 else ""
        connection.execute(
            f"""
            comment on schema auth is null;
            alter database {name} owner to {OWNER};
            alter default privileges for role {OWNER} in schema public
              grant all on tables to anon, authenticated, service_role;
            grant anon, authenticated, service_role to {OWNER} {admin};
            grant usage on schema auth to {OWNER};
            grant all on all tables in schema auth to {OWNER};
            """.encode()
        )
    url = server.url(name).replace("postgres@", f"{OWNER}@")
    up(url)
    return url


def test_verify_finds_no_fault_as_supabase_s_owner(owner_url: str) -> None:
    assert verify(owner_url) == []


def test_up_may_be_repeated_as_supabase_s_owner(owner_url: str) -> None:
    assert up(owner_url).applied == []
    assert verify(owner_url) == []


def test_a_role_like_supabase_s_created_the_roles(server: Postgres, owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        row = connection.execute("select rolsuper from pg_roles where rolname = current_user").fetchone()
        assert row == (False,)
        owners = connection.execute(
            "select distinct proname ~ '_v[0-9]+$' and proname <> all(%s), proowner::regrole::text from pg_proc"
            " where pronamespace = 'whatsapp_private'::regnamespace",
            (list(OF_THE_OWNER),),
        ).fetchall()
    assert set(owners) == {(False, OWNER), (True, "whatsapp_functions")}
    with server.connect() as connection:
        query = "select count(*) from pg_authid where rolname like 'whatsapp%' and rolpassword is null"
        assert connection.execute(query).fetchone() == (len(ALL_ROLES),)


def test_another_database_of_the_server_uses_the_same_roles(server: Postgres, owner_url: str) -> None:
    with server.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(SUPABASE.read_bytes())
        up(url)
        assert verify(url) == []


def test_the_roles_pair_and_clean_up_as_on_supabase(server: Postgres, owner_url: str) -> None:
    """The owner's functions must see rows that row level security hides from the roles, and auth.users."""
    superuser = owner_url.replace(f"{OWNER}@", "postgres@")
    with connect(superuser) as admin:
        world = World(superuser, admin)
        try:
            user, other, secret = world.user(), world.user(), Secret()
            world.link(user, secret)
            assert world.sessions.get(user).phone_number == "5215550001"
            assert world.sweeps.give_up_orphans(10).done == 0
            world.sql("DELETE FROM auth.users WHERE id = %s", user)
            assert world.sweeps.give_up_orphans(10).done == 1
            world.sql("UPDATE whatsapp_private.devices SET unlink_due_at = now()")
            (device,) = world.sweeps.start_unlinks(10)
            lease = uuid4()
            assert world.devices.take(device, lease).jid == "5215550001:7@s.whatsapp.net"
            world.devices.forget(device, lease)
            assert not world.has_keys(secret)
            attempt_id = world.claim(other)
            world.show(attempt_id, world.lease(attempt_id), Secret())
            assert world.attempts.disconnect(other).changed
        finally:
            world.close()


def test_verify_tries_a_pairing_as_supabase_s_owner(owner_url: str) -> None:
    """This owner is no superuser, so it grants the roles to itself during the trial."""
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("insert into auth.users default values")
    assert try_writes(owner_url) == []


def test_the_local_runner_runs_its_functions_as_the_roles(owner_url: str) -> None:
    prepare(owner_url, "live", embedded=True)
    for need, url in login_urls(owner_url, {}).items():
        with psycopg.connect(url) as connection:
            assert connection.execute("select session_user").fetchone() == (ROLES[need],)
    assert verify(owner_url) == []
