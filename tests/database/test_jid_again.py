"""WhatsApp gives the JID of a removed device to a new one, so whatsmeow's statements meet two devices with one JID."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from whatsapp_pairing.runtime.lease import LEASE_SECONDS

from tests.support.adv_secret import Secret
from tests.support.logins import login
from tests.support.repositories import World
from tests.support.whatsmeow_tables import JID, KEYS, SAVE, keys

OTHER_JID = "5215550002:1@s.whatsapp.net"
SLEEPS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"

NUMBER = "5215550001"


class Engine:
    """Changes whatsmeow's tables as the engine does, with the engine's login."""

    def __init__(self, world: World) -> None:
        self._connection = psycopg.connect(login(world.url, "whatsapp_engine"), autocommit=True)

    def save(self, secret: Secret, jid: str = JID, name: str = "") -> None:
        """Store a device, or save it again."""
        self._connection.execute(SAVE, keys(secret, jid, name))

    def know(self, jid: str = JID, contact: str = "contact", number: str = NUMBER) -> None:
        """Store rows about contacts, which have no foreign key to the device."""
        self._connection.execute(
            "INSERT INTO whatsapp_engine.whatsmeow_privacy_tokens VALUES (%s, %s, 'token', 1)", (jid, contact)
        )
        self._connection.execute(
            "INSERT INTO whatsapp_engine.whatsmeow_lid_map VALUES (%s, %s) ON CONFLICT DO NOTHING",
            ("lid" + number, number),
        )

    def delete(self, jid: str = JID) -> None:
        """Delete a device, as whatsmeow does when WhatsApp does not know it any more."""
        self._connection.execute(f"DELETE FROM {KEYS} WHERE jid = %s".encode(), (jid,))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@pytest.fixture
def engine(world: World) -> Iterator[Engine]:
    engine = Engine(world)
    yield engine
    engine.close()


def offered(world: World, secret: Secret) -> tuple[UUID, UUID, UUID]:
    """Show a QR of this secret. Return its user, attempt and lease."""
    user = world.user()
    attempt_id = world.claim(user)
    lease = world.lease(attempt_id)
    assert world.show(attempt_id, lease, secret)
    return user, attempt_id, lease


def linked(world: World, engine: Engine, secret: Secret, jid: str = JID) -> UUID:
    """Link a device of this secret. Return its user."""
    user, attempt_id, lease = offered(world, secret)
    engine.save(secret, jid)
    assert world.leases.scanned(attempt_id, lease, jid)
    assert world.leases.connected(attempt_id, lease, jid)
    return user


def taken(world: World, user: UUID) -> tuple[UUID, UUID]:
    """Disconnect the user, and take the device for an unlink. Return the device and the lease."""
    (device_id,), lease = world.attempts.disconnect(user).devices, uuid4()
    assert world.devices.take(device_id, lease)
    return device_id, lease


def known(world: World) -> dict[str, Any]:
    """The JIDs that have privacy tokens, and the numbers in the map."""
    return {
        "tokens": world.value("SELECT array_agg(our_jid ORDER BY 1) FROM whatsapp_engine.whatsmeow_privacy_tokens"),
        "numbers": world.value("SELECT array_agg(pn ORDER BY 1) FROM whatsapp_engine.whatsmeow_lid_map"),
    }


def test_a_newer_device_with_the_same_jid_replaces_the_older(world: World, engine: Engine) -> None:
    older, newer = Secret(), Secret()
    linked(world, engine, older)
    engine.know(contact="contact of the older one")

    user = linked(world, engine, newer)

    assert (world.has_keys(older), world.has_keys(newer)) == (False, True)
    assert world.sessions.get(user).status == "connected"
    assert known(world) == {"tokens": None, "numbers": [NUMBER]}


@pytest.mark.parametrize("column", ["noise_key", "identity_key", "adv_key"])
def test_any_other_key_makes_another_device(world: World, engine: Engine, column: str) -> None:
    engine.save(secret := Secret())
    world.sql("INSERT INTO whatsapp_engine.whatsmeow_pre_keys VALUES (%s, 1, %s, false)", JID, b"k" * 32)
    world.sql(f"UPDATE {KEYS} SET {column} = %s", b"x" * 32)
    engine.save(secret)
    assert world.value(f"SELECT {column} FROM {KEYS}") == secret.bytes
    assert world.value("SELECT count(*) FROM whatsapp_engine.whatsmeow_pre_keys") == 0


def test_a_device_that_is_saved_again_keeps_what_it_has(world: World, engine: Engine) -> None:
    secret = Secret()
    linked(world, engine, secret)
    engine.know()
    world.sql("INSERT INTO whatsapp_engine.whatsmeow_pre_keys VALUES (%s, 1, %s, false)", JID, b"k" * 32)
    engine.save(secret, name="Ana")
    assert world.sql(f"SELECT jid, push_name FROM {KEYS}") == [{"jid": JID, "push_name": "Ana"}]
    assert world.value("SELECT count(*) FROM whatsapp_engine.whatsmeow_pre_keys") == 1
    assert known(world) == {"tokens": [JID], "numbers": [NUMBER]}


def test_an_engine_that_lost_its_jid_saves_nothing(world: World, engine: Engine) -> None:
    older, newer = Secret(), Secret()
    linked(world, engine, older)
    linked(world, engine, newer)
    engine.save(older, name="an engine that hung")
    assert (world.has_keys(older), world.has_keys(newer)) == (False, True)


@pytest.mark.parametrize("jid", [JID, OTHER_JID])
def test_only_the_jid_of_its_own_keys_links_a_device(world: World, engine: Engine, jid: str) -> None:
    """The keys of the JID that has logged in must have the fingerprint of the QR that was shown."""
    secret = Secret()
    _, attempt_id, lease = offered(world, secret)
    engine.save(secret, OTHER_JID)
    assert world.leases.scanned(attempt_id, lease, OTHER_JID)
    engine.save(Secret(), JID)
    assert (world.leases.connected(attempt_id, lease, jid) is not None) == (jid == OTHER_JID)


def test_keys_that_were_replaced_link_no_device(world: World, engine: Engine) -> None:
    secret = Secret()
    _, attempt_id, lease = offered(world, secret)
    engine.save(secret)
    assert world.leases.scanned(attempt_id, lease, JID)
    engine.save(Secret())
    assert world.leases.connected(attempt_id, lease, JID) is None
    assert world.bound(secret)["state"] == "linking"


def test_a_newer_device_waits_for_an_unlink_of_the_older(world: World, engine: Engine) -> None:
    """The unlink has read the JID, and its engine will open the keys by this JID."""
    older, newer = Secret(), Secret()
    device_id, lease = taken(world, linked(world, engine, older))
    with ThreadPoolExecutor(1) as pool:
        saved = pool.submit(engine.save, newer)
        world.wait_until(lambda: world.value(SLEEPS))
        assert world.has_keys(older)
        world.devices.forget(device_id, lease)
        saved.result()
    assert world.has_keys(newer)


@pytest.mark.parametrize("replaces", [False, True])
def test_the_second_of_two_devices_stored_at_once_stays(world: World, engine: Engine, replaces: bool) -> None:
    first, second = Secret(), Secret()
    if replaces:
        engine.save(Secret())
    with psycopg.connect(login(world.url, "whatsapp_engine")) as slow, ThreadPoolExecutor(1) as pool:
        slow.execute(SAVE, keys(first))
        saved = pool.submit(engine.save, second)
        try:
            world.wait_for_a_blocked_backend()
        finally:
            slow.commit()
        saved.result()
    assert (world.has_keys(first), world.has_keys(second)) == (False, True)
    assert world.value(f"SELECT noise_key FROM {KEYS}") == second.bytes


def test_a_newer_device_does_not_wait_for_ever(world: World, engine: Engine) -> None:
    older, newer = Secret(), Secret()
    device_id, lease = taken(world, linked(world, engine, older))
    world.sql("UPDATE whatsapp_private.devices SET lease_expires_at = now() + interval '1 hour'")
    engine.save(newer)
    assert world.has_keys(newer)
    assert world.devices.stored_jid(device_id, lease) is None


def test_an_older_devices_engine_deletes_no_newer_keys(world: World, engine: Engine) -> None:
    """WhatsApp answers 401 to the engine of the older device, and whatsmeow deletes by the JID."""
    older, newer = Secret(), Secret()
    device_id, lease = taken(world, linked(world, engine, older))
    world.age(LEASE_SECONDS)  # the unlink function is frozen until its lease is over
    user = linked(world, engine, newer)
    engine.know()

    engine.delete()
    world.devices.forget(device_id, lease)

    assert world.has_keys(newer)
    assert known(world) == {"tokens": [JID], "numbers": [NUMBER]}
    assert world.device(older) is None
    engine.delete()  # the older device has no binding now, so this is the newer device's engine
    assert known(world) == {"tokens": None, "numbers": None}
    device_id, lease = taken(world, user)
    world.devices.forget(device_id, lease)
    assert world.value("SELECT count(*) FROM whatsapp_private.devices") == 0


def test_a_linkers_engine_deletes_no_newer_keys(world: World, engine: Engine) -> None:
    secret, newer = Secret(), Secret()
    _, attempt_id, lease = offered(world, secret)
    engine.save(secret)
    assert world.leases.scanned(attempt_id, lease, JID)
    engine.save(newer)
    engine.delete()
    assert world.has_keys(newer)


def test_a_forgotten_device_leaves_its_successor_alone(world: World, engine: Engine) -> None:
    older, newer = Secret(), Secret()
    user = linked(world, engine, older)
    linked(world, engine, newer)
    engine.know()
    device_id, lease = taken(world, user)
    world.devices.forget(device_id, lease)
    assert world.device(older) is None
    assert world.has_keys(newer)
    assert known(world) == {"tokens": [JID], "numbers": [NUMBER]}


@pytest.mark.parametrize("last", [True, False])
def test_a_number_is_deleted_with_the_last_keys_of_its_phone(world: World, engine: Engine, last: bool) -> None:
    same_phone = "5215550001:2@s.whatsapp.net"
    linked(world, engine, Secret())
    if not last:
        linked(world, engine, Secret(), same_phone)
        engine.know(same_phone)
    engine.know()
    engine.delete()
    assert known(world) == {"tokens": None if last else [same_phone], "numbers": None if last else [NUMBER]}


def test_a_longer_number_does_not_keep_a_shorter_one(world: World, engine: Engine) -> None:
    linked(world, engine, Secret(), "52155500012:1@s.whatsapp.net")
    linked(world, engine, Secret())
    engine.know()
    engine.delete()
    assert known(world) == {"tokens": None, "numbers": None}
