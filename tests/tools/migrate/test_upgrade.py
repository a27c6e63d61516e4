"""An upgrade from the release before the database functions loses no row and no keys."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from whatsapp_pairing.cleanup import Cleaning
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.session.session import Status

from infra.migrate import MIGRATIONS, engine_tables, up, verify
from infra.migrate.try_writes import try_writes
from tests.support.adv_secret import Secret
from tests.support.logins import connect
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, WINDOW, World

BEFORE = "20250116"
# Columns that the upgrade must not change.
KEPT = (
    "SELECT id, user_id, number, phase, deadline, outcome, failures, task_token FROM whatsapp_private.attempts",
    "SELECT id, user_id, attempt_id, fingerprint, jid, state, created_at FROM whatsapp_private.devices",
    "SELECT id, user_id, messages_sent, messages_received, last_seen, created_at FROM public.whatsapp_sessions",
    "SELECT e.* FROM whatsapp_engine.whatsmeow_device e",
    "SELECT e.* FROM whatsapp_engine.whatsmeow_pre_keys e",
    "SELECT e.* FROM whatsapp_engine.whatsmeow_lid_map e",
)


class Before:
    """Users in every state, as the earlier release stored them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.linked_secret = Secret("linked")
        self.linked = self.add(
            "connected", "connected", "linked", self.linked_secret, jid="5215550001:7@s.whatsapp.net"
        )
        self.failed = self.add("error", "scan_timeout", "unlinking", Secret("failed"))
        self.dismissed = self.add("disconnected", "passkey_required", "unlinking", Secret("dismissed"))
        self.cancelled = self.add("disconnected", "cancelled", "unlinking", Secret("cancelled"), "5215550003:1@s")
        self.pairing = self.add("waiting_qr", None, "linking", Secret("pairing"), "5215550004:1@s.whatsapp.net")
        self.shown = self.add("waiting_qr", None, "offered", Secret("shown"))
        self.forgotten = world.user()
        self.row(self.forgotten, "connected", phone_number="1", connected_at="2020-01-01")
        self.stuck = world.user()
        self.row(self.stuck, "connecting", qr_code="x" * 40_000)
        world.sql("UPDATE public.whatsapp_sessions SET messages_sent = 5, messages_received = 7, last_seen = now()")

    def add(self, status: str, outcome: str | None, state: str, secret: Secret, jid: str | None = None) -> UUID:
        """Add a user with a session row, an attempt and a device. A device with a JID has keys."""
        user, attempt = self.world.user(), uuid4()
        self.row(user, status)
        self.world.sql(
            "INSERT INTO whatsapp_private.attempts (id, user_id, number, deadline, task_token, legs, failures, outcome,"
            " ended_at) VALUES (%s, %s, 1, now() + interval '1 minute', 'token', 1, 2, %s::text,"
            " CASE WHEN %s::text IS NOT NULL THEN now() END)",
            attempt, user, outcome, outcome,
        )  # fmt: skip
        self.world.sql(
            "INSERT INTO whatsapp_private.devices (user_id, attempt_id, fingerprint, jid, state, updated_at)"
            " VALUES (%s, %s, %s, %s, %s, now() - interval '1 hour')",
            user, attempt, secret.fingerprint, jid, state,
        )  # fmt: skip
        if jid:
            self.world.store_keys(secret, jid)
        return user

    def row(self, user: UUID, status: str, **more: str) -> None:
        """Insert the user's session row."""
        columns, values = ["user_id", "session_status", *more], [user, status, *more.values()]
        places = ", ".join(["%s"] * len(values))
        self.world.sql(f"INSERT INTO public.whatsapp_sessions ({', '.join(columns)}) VALUES ({places})", *values)


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A database with only the migrations of the earlier release."""
    for file in MIGRATIONS.glob("*.sql"):
        if file.name < BEFORE:
            shutil.copy(file, tmp_path)
    up(database_url, tmp_path)
    engine_tables.create_engine_tables(database_url)
    with connect(database_url) as admin:
        world = World(database_url, admin)
        yield world
        world.close()


@pytest.fixture
def before(world: World) -> Before:
    return Before(world)


def kept(world: World) -> list[list[object]]:
    return [sorted(world.sql(query), key=str) for query in KEPT]


def test_an_upgrade_loses_no_row_and_no_key(world: World, before: Before) -> None:
    rows = kept(world)
    assert all(rows)

    up(world.url)

    assert kept(world) == rows
    assert verify(world.url) == []
    assert try_writes(world.url) == []
    found = {user: world.sessions.get(user) for user in vars(before).values() if isinstance(user, UUID)}
    assert {user: session.status for user, session in found.items()} == {
        before.linked: Status.CONNECTED,
        before.failed: Status.ERROR,
        before.dismissed: Status.DISCONNECTED,
        before.cancelled: Status.DISCONNECTED,
        before.pairing: Status.WAITING_QR,
        before.shown: Status.CONNECTING,
        before.forgotten: Status.DISCONNECTED,
        before.stuck: Status.DISCONNECTED,
    }
    linked = found[before.linked]
    assert (linked.phone_number, linked.messages_sent, linked.messages_received) == ("5215550001", 5, 7)
    assert linked.connected_at is not None
    assert linked.last_seen is not None
    assert found[before.failed].reason is Reason.SCAN_TIMEOUT


def test_rows_that_the_product_changed_do_not_stop_the_upgrade(world: World, before: Before) -> None:
    world.sql("ALTER TABLE public.whatsapp_sessions ALTER messages_sent DROP NOT NULL")
    world.sql("UPDATE public.whatsapp_sessions SET messages_sent = NULL WHERE user_id = %s", before.linked)
    world.sql(
        "CREATE FUNCTION public.later() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON public.whatsapp_sessions DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION public.later()"
    )
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO public.whatsapp_sessions (user_id) VALUES (gen_random_uuid())")

    up(world.url)

    session = world.sessions.get(before.linked)
    assert (session.status, session.messages_sent) == (Status.CONNECTED, 0)


def test_a_device_linked_before_the_upgrade_can_be_unlinked(world: World, before: Before) -> None:
    up(world.url)
    (device,) = world.attempts.disconnect(before.linked).devices
    lease = uuid4()
    taken = world.devices.take(device, lease)
    assert taken
    assert taken.jid == "5215550001:7@s.whatsapp.net"
    world.devices.forget(device, lease)
    assert not world.has_keys(before.linked_secret)


def test_cleanup_corrects_rows_that_show_too_much(world: World, before: Before) -> None:
    up(world.url)
    Cleaning(world.services(RecordedWorkflow()), world.sweeps, lambda: 120.0).run()
    status = "SELECT session_status, qr_code FROM public.whatsapp_sessions WHERE user_id = %s"
    for user in (before.forgotten, before.stuck):
        assert world.sql(status, user) == [{"session_status": "disconnected", "qr_code": None}]
    assert world.sql(status, before.linked) == [{"session_status": "connected", "qr_code": None}]


def test_a_running_pairing_survives_and_can_be_disconnected(world: World, before: Before) -> None:
    up(world.url)
    for user in (before.pairing, before.shown):
        assert world.attempts.claim(user, uuid4(), WINDOW, LIMIT).live
        assert world.attempts.disconnect(user).changed
    assert world.attempts.claim(before.failed, uuid4(), WINDOW, LIMIT).wait > 0


def test_a_scan_before_the_upgrade_extends_no_deadline_again(world: World, before: Before) -> None:
    up(world.url)
    scanned = "SELECT scanned_at IS NOT NULL FROM whatsapp_private.attempts WHERE user_id = %s"
    assert [world.value(scanned, user) for user in (before.pairing, before.shown)] == [True, False]


def test_an_upgrade_deletes_what_earlier_releases_left_behind(world: World, before: Before) -> None:
    linked, cancelled = "5215550001:7@s.whatsapp.net", "5215550003:1@s"
    for jid in (linked, cancelled):
        world.sql("INSERT INTO whatsapp_engine.whatsmeow_privacy_tokens VALUES (%s, 'contact', 'token', 1)", jid)
    world.sql("INSERT INTO whatsapp_engine.whatsmeow_lid_map VALUES ('contact', '5215559999')")
    world.drop_keys(cancelled)  # WhatsApp answered the login with 401

    up(world.url)

    tokens = world.sql("SELECT our_jid FROM whatsapp_engine.whatsmeow_privacy_tokens")
    assert tokens == [{"our_jid": linked}]
    numbers = {row["pn"] for row in world.sql("SELECT pn FROM whatsapp_engine.whatsmeow_lid_map")}
    assert numbers == {"5215550001", "5215550004", "5215559999"}
