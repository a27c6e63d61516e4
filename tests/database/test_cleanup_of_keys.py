"""Cleanup finds keys and contacts that no device needs any more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest
from whatsapp_pairing.cleanup import Swept, count_only

from tests.support.adv_secret import Secret
from tests.support.cleanup import NOTHING, sweep
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import World
from tests.support.shown_pairing import JID
from tests.support.stale_rows import lost_pairing

KNOWN = """
SELECT our_jid FROM whatsapp_engine.whatsmeow_privacy_tokens UNION ALL SELECT pn FROM whatsapp_engine.whatsmeow_lid_map
"""


def know(world: World, jid: str, contact: str = "5215559999") -> None:
    """Store a contact of this device, as whatsmeow does."""
    world.sql("INSERT INTO whatsapp_engine.whatsmeow_privacy_tokens VALUES (%s, %s, 'token', 1)", jid, contact)
    world.sql("INSERT INTO whatsapp_engine.whatsmeow_lid_map VALUES (%s, %s) ON CONFLICT DO NOTHING", contact, contact)


@pytest.mark.parametrize("end", ["401 after the scan", "401 before its report", "disconnected", "user deleted"])
def test_no_phone_number_stays_after_its_device_is_forgotten(world: World, end: str) -> None:
    secret, user = Secret(), world.user()
    attempt_id = world.claim(user)
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.store_keys(secret, JID)
    know(world, JID)
    if end != "401 before its report":
        assert world.leases.scanned(attempt_id, lease, JID)
    if end.startswith("401"):
        world.drop_keys(JID)
        world.attempts.disconnect(user)
    else:
        assert world.leases.connected(attempt_id, lease, JID)
        if end == "disconnected":
            world.attempts.disconnect(user)
        else:
            world.sql("DELETE FROM auth.users")
    for _ in range(2):
        world.age(1000)
        workflow = RecordedWorkflow()
        sweep(world, workflow)
        for device_id in (device for devices in workflow.of("call_unlinks") for device in devices):
            unlink = uuid4()
            assert world.devices.take(device_id, unlink)
            world.devices.forget(device_id, unlink)
    assert world.sql("SELECT id FROM whatsapp_private.devices") == []
    assert world.sql(KNOWN) == []
    assert sweep(world) == NOTHING


def test_contacts_stay_while_a_device_is_stored(world: World) -> None:
    """The map of numbers does not say which device knows a number."""
    world.link(gone := world.user(), Secret(), "5215550001:1@s.whatsapp.net")
    world.link(world.user(), Secret(), JID)
    know(world, "5215550001:1@s.whatsapp.net")
    know(world, JID)
    (device_id,), lease = world.attempts.disconnect(gone).devices, uuid4()
    world.devices.take(device_id, lease)
    world.devices.forget(device_id, lease)
    assert sweep(world) == NOTHING
    assert {row["our_jid"] for row in world.sql(KNOWN)} == {JID, "5215550009", "5215559999"}


def test_contacts_are_forgotten_batch_by_batch(world: World) -> None:
    for number in range(3):
        know(world, f"5215550001:{number}@s.whatsapp.net", str(number))
    assert count_only(world.sweeps) == Swept(contacts_forgotten=6)
    assert [world.sweeps.forget_contacts(4).done for _ in range(3)] == [4, 2, 0]
    assert world.sql(KNOWN) == []


def test_keys_that_no_binding_explains_are_unlinked(world: World) -> None:
    kept, shown = Secret(), Secret()
    world.link(world.user(), kept, "5215550001:1@s.whatsapp.net")
    lost_pairing(world, shown)
    world.store_keys(shown, "5215550002:1@s.whatsapp.net")
    strangers = {f"521555010{number}:1@s.whatsapp.net": Secret() for number in range(5)}
    for jid, secret in strangers.items():
        world.store_keys(secret, jid)
    assert count_only(world.sweeps) == Swept(keys_given_up=5)
    workflow = RecordedWorkflow()

    assert sweep(world, workflow, batch=2) == Swept(keys_given_up=5, unlinks_started=5)

    (started,) = workflow.of("call_unlinks")
    bindings = [world.bound(secret) for secret in strangers.values()]
    assert sorted(started) == sorted(binding["id"] for binding in bindings)
    assert [binding["jid"] for binding in bindings] == list(strangers)
    assert {(it["state"], it["user_id"], it["attempt_id"]) for it in bindings} == {("unlinking", None, None)}
    assert world.bound(kept)["state"] == "linked"
    assert world.bound(shown)["state"] == "offered"
    assert sweep(world) == NOTHING  # they are not due yet
    device_id, lease = started[0], uuid4()
    taken = world.devices.take(device_id, lease)
    assert taken is not None
    assert taken.jid in strangers
    world.devices.forget(device_id, lease)
    assert world.value("SELECT count(*) FROM whatsapp_engine.whatsmeow_device") == 6


def test_unexplained_keys_are_searched_one_part_at_a_time(world: World) -> None:
    for number in range(40):
        world.store_keys(Secret(str(number)), f"5215550{number:03}:1@s.whatsapp.net")
    world.sql("UPDATE pg_class SET reltuples = 350000 WHERE oid = 'whatsapp_engine.whatsmeow_device'::regclass")
    try:
        found = [
            [row["jid"] for row in world.sql(
                "SELECT * FROM whatsapp_private.unexplained_keys_v1(NULL, now() + %s * interval '5 minutes')", turn
            )]
            for turn in range(7)
        ]  # fmt: skip
    finally:
        world.sql("ANALYZE whatsapp_engine.whatsmeow_device")
    assert sum(map(bool, found)) == 7
    assert sorted(jid for part in found for jid in part) == [f"5215550{n:03}:1@s.whatsapp.net" for n in range(40)]


def test_two_runs_bind_keys_without_a_binding_once(world: World) -> None:
    world.store_keys(Secret(), JID)
    with psycopg.connect(world.url) as first, ThreadPoolExecutor(1) as pool:
        first.execute("SELECT whatsapp_private.give_up_unexplained_v1(10)")
        second = pool.submit(world.sweeps.give_up_unexplained, 10)
        try:
            world.wait_for_a_blocked_backend()
        finally:
            first.commit()
        assert second.result().done == 0
    assert world.value("SELECT count(*) FROM whatsapp_private.devices") == 1
