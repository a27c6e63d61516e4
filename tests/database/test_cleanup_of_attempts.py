"""Cleanup deletes old attempts that no session and no pause needs. It also gives stray devices up."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.cleanup import Cleaning, Swept, count_only
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import MOST_PER_HOUR, Phase
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.cleanup import NOTHING, sweep
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, WINDOW, World, entered
from tests.support.shown_pairing import JID
from tests.support.stale_rows import stale_attempts, stray_devices

DAY = 86_400.0


def ended(world: World, user: UUID, days: float, reason: Reason = Reason.QR_TIMEOUT) -> UUID:
    """Make an attempt of the user that ended this many days ago."""
    attempt_id = world.claim(user)
    attempt = world.attempts.get(attempt_id)
    assert attempt
    assert world.attempts.end(attempt, reason)
    world.age(days * DAY, attempt_id)
    return attempt_id


def attempts(world: World, user: UUID) -> set[UUID]:
    """The ids of the user's attempts."""
    found = world.sql("SELECT id FROM whatsapp_private.attempts WHERE user_id = %s", user)
    return {row["id"] for row in found}


def test_old_attempts_are_deleted_except_the_newest(world: World) -> None:
    user, other = world.user(), world.user()
    ended(world, user, 200)
    ended(world, user, 91)
    young, newest = ended(world, user, 89), ended(world, user, 1)
    only = ended(world, other, 400, Reason.ACCOUNT_BANNED)
    assert count_only(world.sweeps).attempts_deleted == 2
    assert sweep(world).attempts_deleted == 2
    assert attempts(world, user) == {young, newest}
    assert attempts(world, other) == {only}
    assert world.sessions.get(other).reason is Reason.ACCOUNT_BANNED


def test_the_parameter_sets_the_age_of_deleted_attempts(world: World) -> None:
    user = world.user()
    ended(world, user, 8)
    newest = ended(world, user, 7)
    parts = world.services(RecordedWorkflow()), world.sweeps
    assert count_only(world.sweeps, 9).attempts_deleted == 0
    assert count_only(world.sweeps, 7).attempts_deleted == 1
    assert Cleaning(*parts, lambda: 120.0, attempt_days=9).run().attempts_deleted == 0
    assert Cleaning(*parts, lambda: 120.0, attempt_days=7).run().attempts_deleted == 1
    assert attempts(world, user) == {newest}


def test_deleting_attempts_keeps_reason_number_and_pause(world: World) -> None:
    user = world.user()
    for days in (300, 200, 100):
        ended(world, user, days)
    sweep(world)
    assert world.sessions.get(user).reason is Reason.QR_TIMEOUT
    assert world.sessions.get(user).status is Status.ERROR
    attempt_id = world.claim(user)
    assert (world.attempt(attempt_id)["number"], world.attempt(attempt_id)["failures"]) == (4, 3)


def test_a_live_attempt_is_never_deleted(world: World) -> None:
    user = world.user()
    old = ended(world, user, 100)
    live = world.claim(user)
    assert sweep(world) == Swept(attempts_deleted=1)
    assert old not in attempts(world, user)
    assert attempts(world, user) == {live}


def test_the_attempt_of_a_linked_device_is_kept(world: World) -> None:
    """Cleanup keeps the attempt of a linked device, even if there are newer attempts."""
    user, secret = world.user(), Secret()
    linking = world.link(user, secret)
    world.age(100 * DAY)
    since = world.sessions.get(user).connected_at
    assert since is not None
    # No call makes an attempt while a device is linked, so the test inserts a newer attempt itself.
    world.sql("INSERT INTO whatsapp_private.attempts (id, user_id, number, deadline, ended_at, outcome) "
              "VALUES (%s, %s, 2, now(), now(), 'cancelled')", uuid4(), user)  # fmt: skip
    world.sql("UPDATE whatsapp_private.attempts SET superseded = true WHERE id = %s", linking)
    assert sweep(world) == NOTHING
    assert world.sessions.get(user).connected_at == since


def test_an_attempt_is_deleted_after_its_last_device(world: World) -> None:
    user, secret = world.user(), Secret()
    old = world.link(user, secret)
    (device,) = world.attempts.disconnect(user).devices
    world.age(100 * DAY)
    world.claim(user)
    assert sweep(world).attempts_deleted == 0
    world.devices.take(device, lease := uuid4())
    world.devices.forget(device, lease)
    assert sweep(world) == Swept(attempts_deleted=1)
    assert old not in attempts(world, user)


def test_deleting_attempts_keeps_the_hourly_limit(world: World) -> None:
    user = world.user()
    for _ in range(3):
        ended(world, user, 100, Reason.CANCELLED)
    for _ in range(MOST_PER_HOUR):
        world.age(200 / MOST_PER_HOUR)
        world.sql(
            "UPDATE whatsapp_private.attempts SET started_at = started_at - interval '6 s' WHERE user_id = %s", user
        )
        world.claim(user)
        world.attempts.disconnect(user)
    world.age(10)
    before = world.attempts.claim(user, uuid4(), WINDOW, LIMIT)
    assert sweep(world).attempts_deleted == 3
    after = world.attempts.claim(user, uuid4(), WINDOW, LIMIT)
    assert not before.claimed
    assert not after.claimed
    assert after.wait == pytest.approx(before.wait, abs=60)
    assert after.wait > 1800


def test_a_locked_attempt_is_superseded_by_the_next_click(world: World) -> None:
    user = world.user()
    old = ended(world, user, 100)
    with world.holding("SELECT FROM whatsapp_private.attempts WHERE id = %s FOR UPDATE", old):
        world.claim(user)  # the click does not wait for the lock
        world.attempts.disconnect(user)
    assert sweep(world).attempts_deleted == 0
    world.age(600)
    world.claim(user)
    assert sweep(world).attempts_deleted == 1


def test_a_backlog_is_deleted_batch_by_batch(world: World) -> None:
    stale_attempts(world, 5)
    assert sweep(world, batch=2).attempts_deleted == 5


# ── devices that no live attempt explains ──


def test_a_stray_device_is_given_up_and_forgotten(world: World) -> None:
    stray_devices(world, 1)
    assert count_only(world.sweeps).strays_given_up == 1
    assert sweep(world) == Swept(strays_given_up=1)
    world.age(241)
    assert sweep(world) == Swept(bindings_forgotten=1)


@pytest.mark.parametrize("state", ["offered", "linking"])
def test_a_stray_device_that_was_scanned_is_unlinked(world: World, state: str) -> None:
    secret, user, workflow = Secret(), world.user(), RecordedWorkflow()
    attempt_id = world.claim(user)
    world.show(attempt_id, world.lease(attempt_id), secret)
    world.store_keys(secret, JID)
    world.attempts.disconnect(user)
    world.sql("UPDATE whatsapp_private.devices SET state = %s, unlink_due_at = NULL", state)
    world.age(241)
    assert sweep(world, workflow) == Swept(strays_given_up=1, unlinks_started=1)
    assert workflow.of("call_unlinks") == [[world.bound(secret)["id"]]]


def test_a_device_of_an_attempt_that_is_gone_is_given_up(world: World) -> None:
    stray_devices(world, 1)
    world.sql("UPDATE whatsapp_private.devices SET attempt_id = gen_random_uuid()")
    assert sweep(world).strays_given_up == 1


def test_another_attempts_device_is_given_up(world: World) -> None:
    """The attempt ended ``connected`` with another device."""
    user, linked, other = world.user(), Secret(), Secret()
    world.link(user, linked)
    world.sql("INSERT INTO whatsapp_private.devices (user_id, attempt_id, fingerprint) "
              "SELECT user_id, attempt_id, %s FROM whatsapp_private.devices", other.fingerprint)  # fmt: skip
    assert sweep(world) == Swept(strays_given_up=1)
    assert world.bound(linked)["state"] == "linked"
    assert world.sessions.get(user).status is Status.CONNECTED


def test_a_device_that_a_live_attempt_explains_is_kept(world: World) -> None:
    user, secret = world.user(), Secret()
    attempt_id = world.claim(user)
    lease = world.lease(attempt_id)
    world.attempts.open_phase(attempt_id, entered(Phase.QR, "token"), WINDOW)
    world.show(attempt_id, lease, secret)
    world.age(60)  # the linker hangs
    assert sweep(world) == NOTHING
    world.store_keys(secret, JID)
    assert world.leases.scanned(attempt_id, lease, JID)
    world.age(20)
    assert sweep(world) == NOTHING


def test_no_qr_is_bound_to_an_attempt_that_has_ended(world: World) -> None:
    user, secret = world.user(), Secret()
    attempt_id = world.claim(user)
    lease = world.lease(attempt_id)
    world.attempts.disconnect(user)
    assert world.show(attempt_id, lease, secret) is None
    assert world.device(secret) is None
