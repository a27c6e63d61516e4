"""Cleanup gives devices up, forgets them, and starts their unlinks."""

from __future__ import annotations

from uuid import uuid4

from whatsapp_pairing.cleanup import UNLINKS, Swept, count_only
from whatsapp_pairing.core.reasons import Reason

from tests.support.adv_secret import Secret
from tests.support.cleanup import NOTHING, sweep
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import World
from tests.support.shown_pairing import JID
from tests.support.stale_rows import lost_pairing


def test_a_deleted_user_s_devices_are_unlinked_after_their_lease(world: World) -> None:
    secret, workflow, user = Secret(), RecordedWorkflow(), world.user()
    kept = Secret()
    world.link(user, secret)
    world.link(world.user(), kept, "5215550002:1@s.whatsapp.net")
    world.sql(
        "UPDATE whatsapp_private.devices SET lease_expires_at = now() + interval '245 s' WHERE user_id = %s", user
    )
    world.sql("DELETE FROM auth.users WHERE id = %s", user)
    world.age(240)
    assert sweep(world, workflow) == NOTHING
    world.age(6)

    assert sweep(world, workflow) == Swept(orphans_given_up=1, unlinks_started=1)
    assert sweep(world).orphans_given_up == 0
    assert workflow.of("call_unlinks")[-1] == [world.bound(secret)["id"]]
    assert world.bound(kept)["state"] == "linked"


def test_an_unscanned_device_is_forgotten_after_its_qr(world: World) -> None:
    unused, scanned, recent = Secret(), Secret(), Secret()
    for secret in (unused, scanned):
        _, attempt_id = lost_pairing(world, secret)
        if secret is scanned:
            world.store_keys(secret, JID)
        attempt = world.attempts.get(attempt_id)
        assert attempt is not None
        world.attempts.end(attempt, Reason.SCAN_TIMEOUT)
    world.age(241)
    user, _ = lost_pairing(world, recent)
    world.attempts.disconnect(user)

    assert world.sweeps.forget_never_scanned(10).done == 1

    assert world.device(unused) is None
    assert world.bound(recent)["state"] == world.bound(scanned)["state"] == "unlinking"
    assert world.sweeps.start_unlinks(10) == [world.bound(scanned)["id"]]
    assert world.sweeps.forget_never_scanned(10).done == 0


def test_a_device_under_a_lease_is_left_to_its_holder(world: World) -> None:
    secret, user = Secret(), world.user()
    world.link(user, secret)
    world.attempts.disconnect(user)
    world.age(241)
    device_id, lease = world.bound(secret)["id"], uuid4()
    world.devices.take(device_id, lease)
    assert world.sweeps.start_unlinks(10) == []
    world.drop_keys("5215550001:7@s.whatsapp.net")
    assert world.sweeps.forget_never_scanned(10).done == 0
    world.devices.give_back(device_id, lease)
    assert world.sweeps.forget_never_scanned(10).done == 1


def test_a_run_starts_a_bounded_number_of_unlinks(world: World) -> None:
    for number in range(UNLINKS + 5):
        world.link(user := world.user(), Secret(), f"52155502{number:03}:1@s.whatsapp.net")
        world.attempts.disconnect(user)
    world.age(241)
    assert count_only(world.sweeps).unlinks_started == UNLINKS + 5
    assert sweep(world).unlinks_started == UNLINKS
    assert sweep(world).unlinks_started == 5


def test_the_pause_between_two_unlinks_grows_up_to_a_day(world: World) -> None:
    world.link(user := world.user(), Secret())
    world.attempts.disconnect(user)
    for minutes in [4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440, 1440]:
        world.age(minutes * 60 - 5)
        assert sweep(world).unlinks_started == 0
        world.age(6)
        assert sweep(world).unlinks_started == 1


def test_an_orphan_that_may_still_be_scanned_keeps_its_binding(world: World) -> None:
    secret = Secret()
    user, _ = lost_pairing(world, secret)
    world.sql("DELETE FROM auth.users WHERE id = %s", user)
    world.age(20)  # the linker hangs and its lease is over, but its engine still runs
    assert sweep(world) == Swept(orphans_given_up=1)
    world.store_keys(secret, JID)
    world.age(221)
    assert sweep(world) == Swept(unlinks_started=1)


def test_a_failed_start_of_an_unlink_does_not_stop_the_sweep(world: World) -> None:
    secret, user = Secret(), world.user()
    world.link(user, secret)
    world.attempts.disconnect(user)
    world.age(241)
    assert sweep(world, RecordedWorkflow({"call_unlink"})).unlinks_started == 1
    world.age(481)
    assert sweep(world).unlinks_started == 1  # cleanup starts the unlink again, until the device is forgotten
