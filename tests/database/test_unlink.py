"""An unlink in the database: one lease for each device, and no keys afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest
from whatsapp_pairing.core.errors import DeviceBusy
from whatsapp_pairing.runtime.lease import LEASE_SECONDS

from tests.support.adv_secret import Secret
from tests.support.repositories import JID, World

KEYS = """
SELECT (SELECT count(*) FROM whatsapp_engine.whatsmeow_device) AS device,
       (SELECT count(*) FROM whatsapp_engine.whatsmeow_pre_keys) AS pre_keys,
       (SELECT count(*) FROM whatsapp_engine.whatsmeow_privacy_tokens) AS privacy_tokens,
       (SELECT count(*) FROM whatsapp_engine.whatsmeow_lid_map) AS lid_map
"""
NOTHING = {"device": 0, "pre_keys": 0, "privacy_tokens": 0, "lid_map": 0}


def unlinking(world: World, secret: Secret, jid: str = JID) -> UUID:
    """Link a device and disconnect its user. Return the binding's id."""
    user = world.user()
    world.link(user, secret, jid)
    (device_id,) = world.attempts.disconnect(user).devices
    return device_id


def test_a_device_is_taken_once_and_renewed_by_its_holder(world: World) -> None:
    device_id, lease = unlinking(world, Secret()), uuid4()

    taken = world.devices.take(device_id, lease)
    assert taken is not None
    assert taken.jid == JID
    with pytest.raises(DeviceBusy):
        world.devices.take(device_id, uuid4())
    world.age(LEASE_SECONDS - 2)
    assert world.devices.renew(device_id, lease)
    world.age(LEASE_SECONDS - 2)
    with pytest.raises(DeviceBusy):
        world.devices.take(device_id, uuid4())
    assert not world.devices.renew(device_id, uuid4())


def test_an_unlink_takes_a_device_whose_lease_has_expired(world: World) -> None:
    device_id, lease, heir = unlinking(world, Secret()), uuid4(), uuid4()
    world.devices.take(device_id, lease)
    world.age(LEASE_SECONDS)
    assert world.devices.take(device_id, heir) is not None
    before = world.snapshot()

    assert not world.devices.renew(device_id, lease)
    world.devices.give_back(device_id, lease)
    world.devices.forget(device_id, lease)

    assert world.snapshot() == before


def test_a_device_that_is_given_back_can_be_taken_at_once(world: World) -> None:
    device_id, lease = unlinking(world, Secret()), uuid4()
    world.devices.take(device_id, lease)
    world.devices.give_back(device_id, lease)
    assert world.devices.take(device_id, uuid4()) is not None


def test_a_linked_or_unknown_device_is_not_for_unlinking(world: World) -> None:
    secret = Secret()
    world.link(world.user(), secret)
    before = world.snapshot()
    assert world.devices.take(world.bound(secret)["id"], uuid4()) is None
    assert world.devices.take(uuid4(), uuid4()) is None
    assert world.snapshot() == before


def test_a_device_without_keys_has_no_jid(world: World) -> None:
    device_id = unlinking(world, Secret())
    world.drop_keys(JID)
    taken = world.devices.take(device_id, uuid4())
    assert taken is not None
    assert taken.jid is None


@pytest.mark.parametrize("had_keys", [True, False])
def test_a_take_that_waited_sees_the_present_keys(world: World, had_keys: bool) -> None:
    """Another transaction holds the device. Before it ends, keys are stored or deleted."""
    secret = Secret()
    device_id = unlinking(world, secret)
    if not had_keys:
        world.drop_keys(JID)
    with psycopg.connect(world.url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT FROM whatsapp_private.devices FOR UPDATE")
        taken = pool.submit(world.devices.take, device_id, uuid4())
        try:
            world.wait_for_a_blocked_backend()
            world.drop_keys(JID) if had_keys else world.store_keys(secret, JID)
        finally:
            other.commit()
        answer = taken.result()
    assert answer is not None
    assert answer.jid == (None if had_keys else JID)


def test_a_take_finds_no_device_that_ended_while_it_waited(world: World) -> None:
    device_id = unlinking(world, Secret())
    with psycopg.connect(world.url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("DELETE FROM whatsapp_private.devices")
        taken = pool.submit(world.devices.take, device_id, uuid4())
        try:
            world.wait_for_a_blocked_backend()
        finally:
            other.commit()
        assert taken.result() is None


def test_only_the_lease_s_holder_reads_the_stored_jid(world: World) -> None:
    device_id, lease = unlinking(world, Secret()), uuid4()
    world.devices.take(device_id, lease)
    assert world.devices.stored_jid(device_id, lease) == JID
    assert world.devices.stored_jid(device_id, uuid4()) is None
    world.drop_keys(JID)
    assert world.devices.stored_jid(device_id, lease) is None


def forget(world: World, device_id: UUID) -> None:
    lease = uuid4()
    assert world.devices.take(device_id, lease) is not None
    world.devices.forget(device_id, lease)


def test_forgetting_deletes_every_key_of_the_device(world: World) -> None:
    secret = Secret()
    device_id = unlinking(world, secret)
    assert world.sql(KEYS) == [{"device": 1, "pre_keys": 1, "privacy_tokens": 0, "lid_map": 1}]

    forget(world, device_id)

    assert world.sql(KEYS) == [NOTHING]
    assert world.device(secret) is None


def test_forgetting_deletes_rows_without_a_foreign_key(world: World) -> None:
    device_id = unlinking(world, Secret())
    world.sql("INSERT INTO whatsapp_engine.whatsmeow_privacy_tokens VALUES (%s, 'somebody', 't', 1)", JID)
    forget(world, device_id)
    assert world.sql(KEYS) == [NOTHING]


def test_forgetting_an_unreported_scan_deletes_its_number(world: World) -> None:
    user, secret = world.user(), Secret()
    attempt_id = world.claim(user)
    world.show(attempt_id, world.lease(attempt_id), secret)
    world.store_keys(secret, JID)  # the linker died before it could report the scan
    (device_id,) = world.attempts.disconnect(user).devices
    world.age(LEASE_SECONDS)
    lease = uuid4()
    assert world.devices.take(device_id, lease) is not None
    world.drop_keys(JID)  # the engine has logged the device out

    world.devices.forget(device_id, lease)

    assert world.sql(KEYS) == [NOTHING]


def test_forgetting_leaves_other_devices_alone(world: World) -> None:
    same_phone, other_phone = Secret(), Secret()
    world.link(world.user(), same_phone, "5215550001:8@s.whatsapp.net")
    world.link(world.user(), other_phone, "5215550002:1@s.whatsapp.net")
    device_id = unlinking(world, Secret())

    forget(world, device_id)

    assert world.has_keys(same_phone)
    assert world.has_keys(other_phone)
    numbers = world.sql("SELECT pn FROM whatsapp_engine.whatsmeow_lid_map ORDER BY pn")
    assert numbers == [{"pn": "5215550001"}, {"pn": "5215550002"}]
