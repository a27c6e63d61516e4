"""Notices and refusals in the database: when a notice shows, and how refusals are counted."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest
from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.shown_pairing import JID, ShownPairing


def test_a_notice_comes_with_its_qr_and_stays(pairing: ShownPairing) -> None:
    assert pairing.notice is None
    before, renewed = pairing.version, Secret()
    assert pairing.show(renewed, Notice.SCAN_AGAIN).notice is Notice.SCAN_AGAIN
    assert pairing.version > before
    assert pairing.notice is Notice.SCAN_AGAIN
    assert pairing.show(renewed).notice is Notice.SCAN_AGAIN
    assert pairing.world.sessions.get(pairing.user).qr == renewed.text()


def test_a_new_adv_secret_is_another_device(pairing: ShownPairing) -> None:
    renewed = Secret()
    pairing.show(renewed, Notice.SCAN_AGAIN)
    world = pairing.world
    assert [world.bound(it)["state"] for it in (pairing.secret, renewed)] == ["offered", "offered"]
    world.leases.renew(pairing.attempt_id, pairing.lease)
    assert world.bound(pairing.secret)["lease_expires_at"] == world.bound(renewed)["lease_expires_at"]
    world.store_keys(renewed, JID)
    stored = world.attempts.get(pairing.attempt_id)
    assert stored
    assert stored.stored_fingerprint == renewed.fingerprint


def test_a_scan_clears_the_notice(pairing: ShownPairing) -> None:
    pairing.show(renewed := Secret(), Notice.SCAN_AGAIN)
    assert pairing.scan(renewed).notice is None
    assert pairing.notice is None


def test_a_linker_that_takes_over_keeps_the_notice(pairing: ShownPairing) -> None:
    pairing.refuse()
    pairing.world.age(10)
    pairing.world.lease(pairing.attempt_id)
    assert pairing.notice is Notice.NEW_QR


@pytest.mark.parametrize("end", ["disconnected", "failed"])
def test_a_notice_ends_with_its_attempt(pairing: ShownPairing, end: str) -> None:
    attempt = pairing.refuse()
    if end == "disconnected":
        pairing.world.attempts.disconnect(pairing.user)
    else:
        pairing.world.attempts.end(attempt, Reason.SCAN_NOT_REPEATED)
    session = pairing.world.sessions.get(pairing.user)
    assert session.notice is None
    assert session.reason is (Reason.CANCELLED if end == "disconnected" else Reason.SCAN_NOT_REPEATED)


def test_the_next_attempt_begins_without_notice(pairing: ShownPairing) -> None:
    pairing.refuse()
    pairing.world.attempts.disconnect(pairing.user)
    pairing.world.age(10)
    pairing.world.claim(pairing.user)
    assert pairing.notice is None


def test_a_refusal_hides_the_qr_and_keeps_the_lease(pairing: ShownPairing) -> None:
    before = pairing.version
    refused = pairing.refuse()
    session = pairing.world.sessions.get(pairing.user)
    assert (refused.refusals, refused.alive, refused.notice) == (1, True, Notice.NEW_QR)
    assert (session.status, session.qr, session.notice) == (Status.CONNECTING, None, Notice.NEW_QR)
    assert refused.version == pairing.version > before
    row = pairing.world.show_row(pairing.user)
    assert row
    assert (row["session_status"], row["qr_code"]) == ("connecting", None)


def test_a_refused_login_gives_its_device_up(pairing: ShownPairing) -> None:
    pairing.scan(pairing.secret)
    pairing.world.drop_keys(JID)
    refused = pairing.refuse(jid=JID)
    device = pairing.world.bound(pairing.secret)
    assert (device["state"], device["lease_id"]) == ("unlinking", None)
    assert not refused.scanned
    assert pairing.world.sessions.get(pairing.user).status is Status.CONNECTING


def test_a_refusal_keeps_a_device_of_another_linker(pairing: ShownPairing) -> None:
    """A phone has scanned the QR of an earlier linker, which hung. That device is resumed, so it is not given up."""
    pairing.world.store_keys(pairing.secret, JID)
    assert pairing.refuse(jid=None).stored_jid == JID
    assert pairing.world.bound(pairing.secret)["state"] == "offered"


def test_a_qr_gives_up_a_device_that_lost_its_keys(pairing: ShownPairing) -> None:
    """WhatsApp refuses a login, and the linker dies before it reports that. The next linker shows a QR."""
    world = pairing.world
    pairing.scan(pairing.secret)
    world.drop_keys(JID)
    world.age(10)
    pairing.lease = world.lease(pairing.attempt_id)
    assert world.sessions.get(pairing.user).status is Status.WAITING_QR

    shown = pairing.show(fresh := Secret())

    assert (shown.scanned, shown.notice, shown.refusals) == (False, Notice.NEW_QR, 0)
    assert [world.bound(it)["state"] for it in (pairing.secret, fresh)] == ["unlinking", "offered"]
    world.leases.renew(pairing.attempt_id, pairing.lease, ended=fresh.fingerprint)
    assert world.sessions.get(pairing.user).status is Status.CONNECTING


def test_a_qr_keeps_a_scanned_device_that_has_keys(pairing: ShownPairing) -> None:
    pairing.scan(pairing.secret)
    assert pairing.show(Secret()).scanned
    assert pairing.world.bound(pairing.secret)["state"] == "linking"


def test_a_late_refusal_with_an_old_count_changes_nothing(pairing: ShownPairing) -> None:
    """A late call, after its refusal was counted, changes nothing."""
    pairing.refuse()
    pairing.show(Secret())
    before = pairing.world.snapshot()
    assert pairing.refuse(refusals=0).refusals == 1
    assert pairing.world.snapshot() == before
    assert pairing.refuse(refusals=1).refusals == 2


def test_only_the_first_scan_of_an_attempt_extends_it(pairing: ShownPairing) -> None:
    world, second = pairing.world, Secret()
    world.open_auth(pairing.attempt_id)
    world.age(119)
    world.leases.renew(pairing.attempt_id, pairing.lease)
    deadline = pairing.scan(pairing.secret).deadline
    world.drop_keys(JID)
    pairing.refuse(jid=JID)
    pairing.show(second)
    again = pairing.scan(second, "5215550009:4@s.whatsapp.net")
    assert again.deadline == deadline
    assert again.since_scan is not None
    assert again.since_scan < again.remaining


def test_no_other_notice_is_stored(pairing: ShownPairing) -> None:
    attempt: UUID = pairing.attempt_id
    with pytest.raises(psycopg.errors.CheckViolation):
        pairing.world.sql("UPDATE whatsapp_private.attempts SET notice = 'other' WHERE id = %s", attempt)
