"""A linker reports to the database that it shows a QR, that a phone has scanned, and that the device is online."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
from whatsapp_pairing.pairing.attempt import AFTER_SCAN_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.repositories import WINDOW, World
from tests.support.shown_pairing import JID, ShownPairing, not_none

# ── QR ──


def test_a_shown_qr_binds_its_device(pairing: ShownPairing) -> None:
    session, device = pairing.world.sessions.get(pairing.user), pairing.world.bound(pairing.secret)
    assert session.status is Status.WAITING_QR
    assert session.qr == pairing.secret.text()
    assert session.qr_expires_at is not None
    assert (device["user_id"], device["attempt_id"]) == (pairing.user, pairing.attempt_id)
    assert (device["state"], device["lease_id"], device["jid"]) == ("offered", pairing.lease, None)
    row = pairing.world.show_row(pairing.user)
    assert row is not None
    assert row["qr_code"] == pairing.secret.text()


def test_the_next_qr_of_a_device_replaces_the_last(pairing: ShownPairing) -> None:
    world, text = pairing.world, pairing.secret.text(2)
    shown_at = world.attempt(pairing.attempt_id)["qr_shown_at"]

    world.leases.show_qr(pairing.attempt_id, pairing.lease, text, 20, pairing.secret.fingerprint)

    assert world.sessions.get(pairing.user).qr == text
    assert world.attempt(pairing.attempt_id)["qr_shown_at"] == shown_at
    assert world.value("SELECT count(*) FROM whatsapp_private.devices") == 1


def test_a_qr_is_shown_to_a_user_who_deleted_the_row(pairing: ShownPairing) -> None:
    pairing.world.sql("DELETE FROM public.whatsapp_sessions")
    pairing.world.leases.show_qr(
        pairing.attempt_id, pairing.lease, pairing.secret.text(2), 20, pairing.secret.fingerprint
    )
    assert pairing.world.sessions.get(pairing.user).qr == pairing.secret.text(2)


# ── scan ──


def test_a_scan_hides_the_qr_and_binds_the_jid(pairing: ShownPairing) -> None:
    attempt = pairing.scan()
    session, device = pairing.world.sessions.get(pairing.user), pairing.world.bound(pairing.secret)
    assert attempt.scanned
    assert (session.status, session.qr, session.poll_after_ms) == (Status.WAITING_QR, None, 400)
    assert (device["state"], device["jid"]) == ("linking", JID)
    row = pairing.world.show_row(pairing.user)
    assert row is not None
    assert (row["session_status"], row["qr_code"]) == ("waiting_qr", None)


def test_a_scan_in_the_last_second_extends_the_deadline_once(pairing: ShownPairing) -> None:
    world = pairing.world
    world.open_auth(pairing.attempt_id)
    world.age(WINDOW - 1)
    world.leases.renew(pairing.attempt_id, pairing.lease)

    assert AFTER_SCAN_SECONDS - 2 < pairing.scan().remaining <= AFTER_SCAN_SECONDS
    world.age(50)
    again = not_none(world.leases.scanned(pairing.attempt_id, pairing.lease, JID))
    assert AFTER_SCAN_SECONDS - 52 < again.remaining <= AFTER_SCAN_SECONDS - 50


def test_an_early_scan_does_not_move_the_deadline(pairing: ShownPairing) -> None:
    deadline = pairing.world.attempt(pairing.attempt_id)["deadline"]
    assert pairing.scan().deadline == deadline


def test_a_scan_before_the_scan_window_opens_keeps_its_time(pairing: ShownPairing) -> None:
    """A phone may scan the QR before the workflow enters WaitForAuth."""
    pairing.scan()
    pairing.world.open_auth(pairing.attempt_id, seconds=5)
    opened = not_none(pairing.world.attempts.get(pairing.attempt_id))
    assert opened.phase == "auth"
    assert opened.remaining > AFTER_SCAN_SECONDS - 5


def test_a_scan_without_stored_keys_is_not_written(pairing: ShownPairing) -> None:
    """The JID's stored keys decide which device was scanned, and here they are those of another device."""
    pairing.world.store_keys(Secret(), JID)  # another device
    before = pairing.world.snapshot()
    assert pairing.world.leases.scanned(pairing.attempt_id, pairing.lease, JID) is None
    assert pairing.world.snapshot() == before


def test_a_scan_that_was_not_reported_is_resumed(pairing: ShownPairing) -> None:
    world = pairing.world
    before = not_none(world.leases.renew(pairing.attempt_id, pairing.lease))
    assert (before.stored_jid, before.scanned) == (None, False)
    world.store_keys(pairing.secret, JID)

    renewed = not_none(world.leases.renew(pairing.attempt_id, pairing.lease))

    assert (renewed.stored_jid, renewed.stored_fingerprint) == (JID, pairing.secret.fingerprint)
    assert renewed.scanned
    assert not_none(world.attempts.get(world.claim())).stored_jid is None


def test_the_newest_of_two_scanned_devices_is_resumed(pairing: ShownPairing) -> None:
    world, newer = pairing.world, Secret()
    pairing.scan()
    world.age(5)
    world.show(pairing.attempt_id, pairing.lease, newer)
    world.store_keys(newer, "5215550009:4@s.whatsapp.net")
    assert not_none(world.attempts.get(pairing.attempt_id)).stored_jid == "5215550009:4@s.whatsapp.net"


def test_a_device_may_get_the_jid_of_a_removed_device(world: World) -> None:
    """The phone has removed its device and links another with the same JID, while the old binding still exists."""
    earlier = ShownPairing(world)
    earlier.scan()
    world.drop_keys(JID)
    world.attempts.disconnect(earlier.user)
    world.age(10)

    now = ShownPairing(world)
    now.scan()
    now.connect()

    assert world.sessions.get(now.user).status is Status.CONNECTED


def test_a_scan_locks_the_attempt_before_its_device(pairing: ShownPairing) -> None:
    """All statements lock in this order. Otherwise a disconnect and a scan at the same moment could deadlock."""
    world = pairing.world
    world.store_keys(pairing.secret, JID)
    with psycopg.connect(world.url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT FROM whatsapp_private.attempts FOR UPDATE")
        scanned = pool.submit(world.leases.scanned, pairing.attempt_id, pairing.lease, JID)
        try:
            world.wait_for_a_blocked_backend()
            other.execute("SELECT FROM whatsapp_private.devices FOR UPDATE NOWAIT")
        finally:
            other.rollback()
            scanned.result(10)


# ── connected ──


def test_connecting_ends_the_attempt_and_shows_the_number(pairing: ShownPairing) -> None:
    pairing.scan()
    attempt = pairing.connect().attempt

    session, device = pairing.world.sessions.get(pairing.user), pairing.world.bound(pairing.secret)
    assert (attempt.outcome, attempt.alive) == ("connected", False)
    assert (session.status, session.phone_number, session.qr) == (Status.CONNECTED, "5215550009", None)
    assert session.connected_at is not None
    assert session.connected_at == session.last_seen
    assert (session.attempt, session.reason) == (None, None)
    assert (device["state"], device["jid"], device["lease_id"]) == ("linked", JID, None)


def test_connecting_gives_up_devices_of_earlier_linkers(pairing: ShownPairing) -> None:
    world, unused = pairing.world, Secret()
    world.show(pairing.attempt_id, pairing.lease, unused)
    pairing.scan()
    assert pairing.connect().given_up == []  # no phone has scanned it, so no phone lists it
    assert world.bound(unused)["state"] == "unlinking"
    assert world.bound(pairing.secret)["state"] == "linked"


def test_connecting_names_earlier_devices_that_were_scanned(pairing: ShownPairing) -> None:
    world, earlier = pairing.world, Secret()
    world.show(pairing.attempt_id, pairing.lease, earlier)
    world.store_keys(earlier, "5215550009:4@s.whatsapp.net")
    pairing.scan()

    given_up = pairing.connect().given_up

    assert given_up == [world.bound(earlier)["id"]]
    assert (world.bound(earlier)["state"], world.bound(earlier)["lease_id"]) == ("unlinking", None)
    assert pairing.connect().given_up == given_up  # a repeated call
