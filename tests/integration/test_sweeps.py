"""Cleanup finds exactly what is lost, and never what lives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.cleaning import Swept, clean
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.leases import Linked
from whatsapp_pairing.repository.sweeps import Sweeps
from whatsapp_pairing.session import OVERDUE_SECONDS, Status

from .recorder import RecordedWorkflow
from .world import WINDOW, Secret, World

NOTHING = Swept(0, 0, 0, 0, 0)
JID = "5215550009:3@s.whatsapp.net"


def sweep(world: World, workflow: RecordedWorkflow | None = None, batch: int = 200) -> Swept:
    return clean(world.attempts, world.sweeps, workflow or RecordedWorkflow(), batch)


def lost_pairing(world: World, secret: Secret | None = None) -> tuple[UUID, UUID]:
    """A pairing that has just shown its QR and whose linker is gone: its user and attempt."""
    user = world.user()
    attempt_id = world.claim(user)
    world.show(attempt_id, world.lease(attempt_id), secret or Secret())
    return user, attempt_id


def test_nothing_live_is_ever_swept(world: World) -> None:
    world.claim()
    shown, scanned = world.claim(), world.claim()
    world.show(shown, world.lease(shown), Secret())
    secret, lease = Secret(), world.lease(scanned)
    world.show(scanned, lease, secret)
    world.store_keys(secret, JID)
    world.leases.scanned(scanned, lease, Linked(JID, secret.fingerprint))
    world.link(world.user(), Secret())
    world.age_rows(100_000)  # rows that say "connecting" for long, with an attempt that lives
    world.age(WINDOW + OVERDUE_SECONDS - 5)  # as late as its workflow may be
    before = world.snapshot()

    assert sweep(world) == NOTHING
    assert world.snapshot() == before


def test_an_overdue_attempt_is_ended_with_its_reason(world: World) -> None:
    user, attempt_id = lost_pairing(world)
    waiting = world.claim()
    world.open_auth(attempt_id)
    world.age(WINDOW + OVERDUE_SECONDS + 1)
    fresh = world.claim()

    assert sweep(world).attempts_ended == 2

    assert world.attempt(attempt_id)["outcome"] == "scan_timeout"
    assert world.attempt(waiting)["outcome"] == "qr_timeout"
    assert world.attempt(fresh)["outcome"] is None
    assert world.sessions.get(user).status is Status.ERROR
    assert sweep(world) == NOTHING


def test_an_overdue_scan_is_unlinked(world: World) -> None:
    secret, workflow = Secret(), RecordedWorkflow()
    _, attempt_id = lost_pairing(world, secret)
    world.store_keys(secret, JID)
    world.age(WINDOW + OVERDUE_SECONDS + 1)

    sweep(world, workflow)

    assert world.attempt(attempt_id)["outcome"] is not None
    assert [world.bound(secret)["id"]] in workflow.of("call_unlinks")


def test_a_batch_is_a_batch_oldest_first(world: World) -> None:
    first, second = world.claim(), world.claim()
    world.age(WINDOW + OVERDUE_SECONDS + 1)
    world.age(5, second)
    assert [attempt.id for attempt in world.sweeps.overdue_attempts(1)] == [second]
    assert sweep(world, batch=1).attempts_ended == 1
    assert world.attempt(first)["outcome"] is None
    assert sweep(world, batch=1).attempts_ended == 1
    assert sweep(world, batch=1) == NOTHING


@pytest.mark.parametrize("status", ["connecting", "waiting_qr"])
def test_a_row_that_no_live_attempt_explains_is_cleared(world: World, status: str) -> None:
    stuck, recent, fine = world.user(), world.user(), world.user()
    world.sql("INSERT INTO public.whatsapp_sessions (user_id, session_status, qr_code) VALUES (%s, %s, 'q')",
              stuck, status)  # fmt: skip
    world.sql("INSERT INTO public.whatsapp_sessions (user_id, session_status) VALUES (%s, 'error')", fine)
    world.age_rows(301)
    world.sql("INSERT INTO public.whatsapp_sessions (user_id, session_status) VALUES (%s, %s)", recent, status)

    assert sweep(world).rows_cleared == 1

    row = world.row(stuck)
    assert row is not None
    assert (row["session_status"], row["qr_code"]) == ("disconnected", None)
    assert world.sessions.get(fine).status is Status.ERROR
    assert world.value("SELECT session_status FROM public.whatsapp_sessions WHERE user_id = %s", recent) == status
    assert sweep(world) == NOTHING


def test_the_devices_of_a_deleted_user_are_unlinked_once_nobody_holds_them(world: World) -> None:
    secret, workflow, user = Secret(), RecordedWorkflow(), world.user()
    kept = Secret()
    world.link(user, secret)
    world.link(world.user(), kept, "5215550002:1@s.whatsapp.net")
    world.sql("UPDATE whatsapp_private.devices SET lease_expires_at = now() + interval '5 s' WHERE user_id = %s", user)
    world.sql("DELETE FROM auth.users WHERE id = %s", user)
    assert sweep(world, workflow) == NOTHING
    world.age(6)

    assert sweep(world, workflow) == Swept(0, 0, 1, 0, 1)
    assert sweep(world).orphans_given_up == 0
    assert workflow.of("call_unlinks")[-1] == [world.bound(secret)["id"]]
    assert world.bound(kept)["state"] == "linked"


def test_offered_and_never_scanned_is_forgotten_after_its_qr(world: World) -> None:
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

    assert world.sweeps.forget_never_scanned(10) == 1

    assert world.device(unused) is None
    assert world.bound(recent)["state"] == world.bound(scanned)["state"] == "unlinking"
    assert world.sweeps.devices_to_unlink(10) == [world.bound(scanned)["id"]]
    assert world.sweeps.forget_never_scanned(10) == 0


def test_a_device_in_somebodys_hands_is_left_to_them(world: World) -> None:
    secret, user = Secret(), world.user()
    world.link(user, secret)
    world.attempts.disconnect(user)
    world.age(241)
    device_id, lease = world.bound(secret)["id"], uuid4()
    assert world.sweeps.devices_to_unlink(10) == [device_id]
    world.devices.take(device_id, lease)
    assert world.sweeps.devices_to_unlink(10) == []
    world.drop_keys("5215550001:7@s.whatsapp.net")
    assert world.sweeps.forget_never_scanned(10) == 0
    world.devices.give_back(device_id, lease)
    assert world.sweeps.forget_never_scanned(10) == 0  # given back a moment ago


def test_two_sweeps_at_once_do_the_work_once(world: World) -> None:
    for _ in range(20):
        lost_pairing(world)
    world.age(WINDOW + OVERDUE_SECONDS + 1)
    for _ in range(20):
        user = world.user()
        world.sql("INSERT INTO public.whatsapp_sessions (user_id, session_status) VALUES (%s, 'connecting')", user)
    world.age_rows(301)
    databases = [world.new_database("whatsapp_worker") for _ in range(2)]

    def run(number: int) -> Swept:
        return clean(Attempts(databases[number]), Sweeps(databases[number]), RecordedWorkflow())

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(run, range(2))

    assert first.attempts_ended + second.attempts_ended == 20
    assert first.rows_cleared + second.rows_cleared == 20
    assert sweep(world) == NOTHING


def test_an_unlink_that_cannot_be_started_does_not_stop_the_sweep(world: World) -> None:
    secret, user = Secret(), world.user()
    world.link(user, secret)
    world.attempts.disconnect(user)
    world.age(241)
    assert sweep(world).unlinks_started == 1
    assert sweep(world).unlinks_started == 1  # until it is gone
