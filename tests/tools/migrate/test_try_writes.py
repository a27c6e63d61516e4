"""`verify --try-writes` pairs the oldest user with the real roles, and rolls everything back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.migrate.__main__ import main
from infra.migrate.try_writes import try_writes
from tests.support.adv_secret import Secret
from tests.support.logins import connect
from tests.support.repositories import World

TABLE = "public.whatsapp_sessions"


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    """A database with one linked user."""
    with connect(migrated_url) as admin:
        world = World(migrated_url, admin)
        world.link(world.user(), Secret())
        yield world
        world.close()


def test_a_trial_pairing_is_rolled_back(world: World) -> None:
    before = world.snapshot()
    roles = world.sql("SELECT roleid, member FROM pg_auth_members ORDER BY 1, 2")
    assert try_writes(world.url) == []
    assert world.snapshot() == before
    assert world.sql("SELECT roleid, member FROM pg_auth_members ORDER BY 1, 2") == roles


def test_a_trial_pairing_needs_a_user(migrated_url: str) -> None:
    assert [str(it) for it in try_writes(migrated_url)] == [
        "refused: a trial: there is no user yet: the call gave no answer"
    ]


REFUSALS = {
    f"alter table {TABLE} add tenant int not null default 1; alter table {TABLE} alter tenant drop default": (
        "whatsapp_api: the session row: NotNullViolation 23502, table whatsapp_sessions, column tenant"
    ),
    f"alter table {TABLE} add constraint no_qr check (qr_code is null)": (
        "whatsapp_worker: the session row with a QR: CheckViolation 23514, table whatsapp_sessions, constraint no_qr"
    ),
    "create function public.no() returns trigger language plpgsql as 'begin raise ''never-to-be-written''; end';"
    f"create trigger no before update on {TABLE} for each row execute function public.no()": (
        "whatsapp_worker: the session row with a QR: RaiseException P0001"
    ),
    "create function public.slow() returns trigger language plpgsql as 'begin perform pg_sleep(3); return null; end';"
    f"create constraint trigger slow after update on {TABLE} deferrable initially deferred for each row"
    " execute function public.slow()": "whatsapp_worker: the session row with a QR: QueryCanceled 57014",
    f"create policy strict on {TABLE} as restrictive using (false)": (
        "whatsapp_api: the session row: InsufficientPrivilege 42501"
    ),
    "revoke execute on function whatsapp_private.take_v1(uuid, uuid, float8) from whatsapp_worker": (
        "whatsapp_worker: the linker's lease: InsufficientPrivilege 42501"
    ),
    "revoke insert on whatsapp_engine.whatsmeow_device from whatsapp_engine": (
        "whatsapp_engine: a device's keys: InsufficientPrivilege 42501"
    ),
    "revoke insert (user_id, attempt_id, fingerprint, lease_id, lease_expires_at, created_at)"
    " on whatsapp_private.devices from whatsapp_functions": "whatsapp_worker: a QR: InsufficientPrivilege 42501",
}


@pytest.mark.parametrize(("change", "told"), REFUSALS.items(), ids=[change[:60] for change in REFUSALS])
def test_a_refused_step_is_named(world: World, change: str, told: str, capsys: Any) -> None:
    world.sql(change)
    assert main(["verify", "--try-writes", "--database-url", world.url]) == 1
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.startswith("refused")] == [f"refused: {told}"]
    assert "never-to-be-written" not in out
