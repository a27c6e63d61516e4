"""A user may write anything into the own session row. It has no effect, because no decision reads the row."""

from __future__ import annotations

import contextlib
import json
from uuid import UUID, uuid4

import psycopg
import pytest
from whatsapp_pairing.cleanup import Cleaning
from whatsapp_pairing.core.errors import TooSoon
from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.pairing.disconnect import disconnect
from whatsapp_pairing.web import http, qr

from tests.support.adv_secret import Secret
from tests.support.databases import WAYS
from tests.support.logins import act_as
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, WINDOW, World

pytestmark = pytest.mark.parametrize("way", WAYS, indirect=True, scope="session")

VICTIMS_JID, ATTACKERS_JID = "5215550001:7@s.whatsapp.net", "5215550002:3@s.whatsapp.net"
EDITS = [
    *(f"session_status = '{status}'" for status in ("disconnected", "connecting", "waiting_qr", "connected", "error")),
    "phone_number = '5215550001', session_status = 'connected', connected_at = now()",
    "qr_code = 'https://wa.me/settings/linked_devices#2@forged,a,b,c,1', session_status = 'waiting_qr'",
    "id = '{victims_id}'::uuid",
    "id = '{victims_attempt}'",
    "updated_at = '2001-01-01', created_at = '2001-01-01', last_seen = now()",
    "messages_sent = -1, messages_received = 2147483647",
    "connected_at = 'infinity', last_seen = '-infinity', session_status = 'connected'",
    "last_seen = 'infinity', messages_sent = 7",
    "connected_at = '20000-01-01', last_seen = '0044-03-15 BC', session_status = 'connected'",
    None,
]


@pytest.fixture
def victim(world: World) -> UUID:
    """A user with a linked phone."""
    user = world.user()
    world.link(user, Secret("victim"), VICTIMS_JID)
    return user


def edit(world: World, user: UUID, victim: UUID, change: str | None) -> None:
    """Change a user's session row as the user may through Supabase's API. None deletes it."""
    statement = "DELETE FROM public.whatsapp_sessions"
    if change:
        attempt = world.value("SELECT id FROM whatsapp_private.attempts WHERE user_id = %s", victim)
        statement = f"UPDATE public.whatsapp_sessions SET {change}".format(victims_id=uuid4(), victims_attempt=attempt)
    with psycopg.connect(world.url) as connection:
        act_as(connection, json.dumps({"sub": str(user), "role": "authenticated"}))
        assert connection.execute(statement.encode()).rowcount == 1


def of_victim(world: World, victim: UUID) -> list[object]:
    """All data of the victim."""
    return [
        world.row(victim),
        *world.sql("SELECT * FROM whatsapp_private.attempts WHERE user_id = %s", victim),
        *world.sql("SELECT * FROM whatsapp_private.devices WHERE user_id = %s", victim),
        *world.sql("SELECT * FROM whatsapp_engine.whatsmeow_device WHERE jid = %s", VICTIMS_JID),
    ]


def everything(world: World, attacker: UUID, workflow: RecordedWorkflow) -> None:
    """Connect, disconnect, connect again, and run cleanup much later."""
    for _ in range(2):
        with contextlib.suppress(TooSoon):
            connect(attacker, WINDOW, LIMIT, world.services(workflow))
        disconnect(attacker, world.services(workflow))
    world.age(1000)
    world.age_rows(1000)
    clean(world, workflow)


def clean(world: World, workflow: RecordedWorkflow) -> None:
    """Run cleanup once."""
    Cleaning(world.services(workflow), world.sweeps, lambda: 120.0).run()


@pytest.mark.parametrize("change", EDITS, ids=str)
def test_an_edited_row_lets_a_user_reach_only_own_devices(world: World, victim: UUID, change: str | None) -> None:
    attacker, secret, workflow = world.user(), Secret("attacker"), RecordedWorkflow()
    world.link(attacker, secret, ATTACKERS_JID)
    own = world.bound(secret)["id"]
    edit(world, attacker, victim, change)
    before = of_victim(world, victim)

    disconnect(attacker, world.services(workflow))

    assert workflow.of("call_unlinks") == [[own]]
    assert workflow.of("fail") == [None]
    assert of_victim(world, victim) == before


@pytest.mark.parametrize("change", EDITS, ids=str)
def test_an_edited_row_lets_a_user_steer_only_own_workflows(world: World, victim: UUID, change: str | None) -> None:
    other, attacker, secret, workflow = world.user(), world.user(), Secret("attacker"), RecordedWorkflow()
    others, own = world.claim(other), world.claim(attacker)
    world.open_auth(others, "token-other")
    world.open_auth(own, "token-own")
    world.show(own, world.lease(own), secret)
    world.show_row(attacker)
    edit(world, attacker, victim, change)
    before = of_victim(world, victim), world.attempt(others)

    assert not connect(attacker, WINDOW, LIMIT, world.services(workflow))
    assert workflow.calls == []
    disconnect(attacker, world.services(workflow))

    assert workflow.of("fail") == ["token-own"]
    assert (of_victim(world, victim), world.attempt(others)) == before


@pytest.mark.parametrize("change", EDITS, ids=str)
def test_an_edited_row_changes_nothing_of_other_users(world: World, victim: UUID, change: str | None) -> None:
    attacker, workflow = world.user(), RecordedWorkflow()
    world.claim(attacker)
    world.show_row(attacker)
    edit(world, attacker, victim, change)
    keys = "SELECT state, jid FROM whatsapp_private.devices WHERE user_id = %s"
    shown, bound = world.row(victim), world.sql(keys, victim)

    everything(world, attacker, workflow)

    assert {**world.row(victim), "updated_at": None} == {**shown, "updated_at": None}  # the test moved the time
    assert world.sql(keys, victim) == bound == [{"state": "linked", "jid": VICTIMS_JID}]
    assert world.has_keys(Secret("victim"))
    assert [devices for devices in workflow.of("call_unlinks") if devices] == []
    assert world.sessions.get(victim).phone_number == "5215550001"


@pytest.mark.parametrize("change", ["qr_code = repeat('x', 6000)", "qr_code = repeat('ñ', 900)", *EDITS], ids=str)
def test_an_edited_row_can_always_be_shown(world: World, victim: UUID, change: str | None) -> None:
    """An answer of 5xx would ring an alarm."""
    attacker = world.user()
    attempt_id = world.claim(attacker)
    world.show(attempt_id, world.lease(attempt_id), Secret("attacker"))
    world.show_row(attacker)
    edit(world, attacker, victim, change)
    clean(world, RecordedWorkflow())  # cleanup copies the product's counters from the row
    shown = world.sessions.get(attacker)
    assert http.cacheable({}, http.shown({}, shown))["statusCode"] == 200
    if shown.qr:
        assert qr.svg(shown.qr)


def test_a_row_that_says_connected_links_nothing(world: World, victim: UUID) -> None:
    attacker, workflow = world.user(), RecordedWorkflow()
    world.sql("INSERT INTO public.whatsapp_sessions (user_id) VALUES (%s)", attacker)
    edit(world, attacker, victim, "session_status = 'connected', phone_number = '5215550001'")

    assert connect(attacker, WINDOW, LIMIT, world.services(workflow))

    assert world.row(attacker)["session_status"] == "connecting"
    assert not disconnect(world.user(), world.services(workflow))
    assert world.sql("SELECT FROM whatsapp_private.devices WHERE user_id = %s", attacker) == []
