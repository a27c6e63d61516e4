"""Cleanup finds exactly what is lost, and never what lives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from uuid import UUID, uuid4

import psycopg
import pytest
from whatsapp_pairing.cleanup import UNLINKS, Cleaning, Sweeps, Swept, look
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import Attempt
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime.batches import RESERVE_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.cleanup import NOTHING, everything, stale_everything, sweep, total
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import OVERDUE_SECONDS, WINDOW, World
from tests.support.stack import PATIENCE_SECONDS
from tests.support.stale_rows import lost_pairing

JID = "5215550009:3@s.whatsapp.net"


def test_cleanup_changes_nothing_that_is_live(world: World) -> None:
    world.claim()
    shown, scanned = world.claim(), world.claim()
    world.show(shown, world.lease(shown), Secret())
    secret, lease = Secret(), world.lease(scanned)
    world.show(scanned, lease, secret)
    world.store_keys(secret, JID)
    world.leases.scanned(scanned, lease, JID)
    world.link(world.user(), Secret())
    world.age_rows(100_000)  # rows that say "connecting" for long, with an attempt that lives
    world.age(WINDOW + OVERDUE_SECONDS - 5)  # as late as its workflow may be
    before = world.snapshot()

    assert sweep(world) == NOTHING
    assert world.snapshot() == before


def test_an_overdue_attempt_is_ended_with_its_reason(world: World, caplog: pytest.LogCaptureFixture) -> None:
    user, attempt_id = lost_pairing(world)
    waiting, neglected = world.claim(), world.claim()
    world.lease(waiting)
    world.open_auth(attempt_id)
    world.age(WINDOW + OVERDUE_SECONDS + 1)
    fresh = world.claim()

    with caplog.at_level("INFO"):
        assert sweep(world).attempts_ended == 3

    ended = {record.attempt_id for record in caplog.records if record.message == "attempt ended"}
    assert ended == {str(attempt_id), str(waiting), str(neglected)}
    assert world.attempt(attempt_id)["outcome"] == "scan_timeout"
    assert world.attempt(waiting)["outcome"] == "qr_timeout"
    assert world.attempt(neglected)["outcome"] == "internal"  # no workflow ever came to work
    assert world.attempt(fresh)["outcome"] is None
    assert world.sessions.get(user).status is Status.ERROR
    assert sweep(world) == NOTHING


def test_an_attempt_that_is_back_since_it_was_found_goes_on(world: World) -> None:
    """A batch may take long. Meanwhile a late call of the workflow opens the scan's window."""
    _, attempt_id = lost_pairing(world)
    world.age(WINDOW + OVERDUE_SECONDS + 1)

    class Revived(Attempts):
        def get(self, attempt_id: UUID) -> Attempt | None:
            world.open_auth(attempt_id)
            return super().get(attempt_id)

    revived = Revived(world.new_database("whatsapp_worker"))
    swept = Cleaning(world.services(RecordedWorkflow(), revived), world.sweeps, lambda: 120.0).run()

    assert swept.attempts_ended == 0
    assert world.attempt(attempt_id)["outcome"] is None


def test_an_overdue_scan_is_unlinked(world: World) -> None:
    secret, workflow = Secret(), RecordedWorkflow()
    _, attempt_id = lost_pairing(world, secret)
    world.store_keys(secret, JID)
    world.age(WINDOW + OVERDUE_SECONDS + 1)

    sweep(world, workflow)

    assert world.attempt(attempt_id)["outcome"] is not None
    assert [world.bound(secret)["id"]] in workflow.of("call_unlinks")


def test_a_batch_takes_the_oldest_attempts_first(world: World) -> None:
    first, second = world.claim(), world.claim()
    world.age(WINDOW + OVERDUE_SECONDS + 1)
    world.age(5, second)
    assert world.sweeps.overdue_attempts(1) == [second]
    assert world.sweeps.overdue_attempts(2) == [second, first]


@pytest.mark.parametrize("status", ["connecting", "waiting_qr"])
def test_a_row_that_no_live_attempt_explains_is_cleared(world: World, status: str) -> None:
    stuck, recent, fine = world.user(), world.user(), world.user()
    world.sql("INSERT INTO public.whatsapp_sessions (user_id, session_status, qr_code) VALUES (%s, %s, 'q')",
              stuck, status)  # fmt: skip
    world.sql("INSERT INTO public.whatsapp_sessions (user_id, session_status) VALUES (%s, 'error')", fine)
    world.age_rows(301)
    world.sql("INSERT INTO public.whatsapp_sessions (user_id, session_status) VALUES (%s, %s)", recent, status)

    assert sweep(world).rows_written == 1

    row = world.row(stuck)
    assert row is not None
    assert (row["session_status"], row["qr_code"]) == ("disconnected", None)
    assert world.value("SELECT session_status FROM public.whatsapp_sessions WHERE user_id = %s", fine) == "error"
    assert world.value("SELECT session_status FROM public.whatsapp_sessions WHERE user_id = %s", recent) == status
    assert sweep(world) == NOTHING


@pytest.mark.parametrize("updated_at", ["2001-01-01", "2999-01-01", "infinity", "-infinity"])
def test_a_stuck_row_is_cleared_whatever_its_updated_at(world: World, updated_at: str) -> None:
    user = world.user()
    world.sql(
        "INSERT INTO public.whatsapp_sessions (user_id, session_status, updated_at) VALUES (%s, 'connecting', %s)",
        user,
        updated_at,
    )
    assert sweep(world).rows_written == 1
    assert world.value("SELECT session_status FROM public.whatsapp_sessions") == "disconnected"


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


def test_two_cleanups_at_once_do_everything_once(world: World) -> None:
    stale_everything(world, 8)
    workflow = RecordedWorkflow()
    databases = [world.new_database("whatsapp_worker") for _ in range(2)]
    start = Barrier(2)

    def run(number: int) -> Swept:
        start.wait(PATIENCE_SECONDS)
        database = databases[number]
        services = Services(Attempts(database), SessionRows(database), workflow)
        return Cleaning(services, Sweeps(database), lambda: 120.0, batch=3).run()

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(run, range(2))

    # A sweep leaves what the other has locked, and goes when it finds less than a batch: the next run has the rest.
    swept = total(first, second, sweep(world, workflow))
    # Both may mark the same row as wrong, and each counts the row that it then finds written. Each may leave rows that
    # the other has locked.
    assert swept.rows_written >= 8
    assert replace(swept, rows_written=8, left=0) == everything(8)
    started = [device for devices in workflow.of("call_unlinks") for device in devices]
    assert len(started) == len(set(started)) == 16
    assert sweep(world) == NOTHING
    assert world.value("SELECT count(*) FROM whatsapp_private.devices WHERE state = 'linked'") == 8
    assert world.value("SELECT count(*) FROM whatsapp_private.attempts WHERE ended_at IS NULL") == 8


@pytest.mark.parametrize("name", ["take_counters", "mark_wrong_rows"])
def test_a_sweep_of_rows_locks_sessions_in_the_order_of_users(world: World, name: str) -> None:
    """Two runs at once that lock them in other orders would deadlock."""
    users = sorted((world.user() for _ in range(3)), reverse=True)
    for user in users:
        world.claim(user)
        world.show_row(user)
        world.attempts.disconnect(user)
        world.show_row(user)
    world.sql("UPDATE public.whatsapp_sessions SET session_status = 'connected', messages_sent = 1")
    with psycopg.connect(world.url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT FROM whatsapp_private.sessions WHERE user_id = %s FOR UPDATE", (users[-1],))
        swept = pool.submit(getattr(world.sweeps, name), users)
        try:
            world.wait_for_a_blocked_backend()
            other.execute("SELECT FROM whatsapp_private.sessions FOR UPDATE NOWAIT")
        finally:
            other.commit()
        assert swept.result() == 3


def test_a_run_drains_a_backlog_batch_by_batch(world: World) -> None:
    stale_everything(world, 5)
    assert sweep(world, batch=2) == everything(5)


def test_a_run_ends_in_time_and_the_next_does_the_rest(world: World) -> None:
    stale_everything(world, 5)
    seconds = [RESERVE_SECONDS + 1] * 4

    def left() -> float:
        return seconds.pop() if seconds else RESERVE_SECONDS

    first = Cleaning(world.services(RecordedWorkflow()), world.sweeps, left, batch=3).run()

    assert first == Swept(attempts_ended=3, unlinks_started=5)  # the unlinks are started in any case
    assert total(first, sweep(world)) == everything(5)


def test_a_run_starts_a_bounded_number_of_unlinks(world: World) -> None:
    for number in range(UNLINKS + 5):
        world.link(user := world.user(), Secret(), f"52155502{number:03}:1@s.whatsapp.net")
        world.attempts.disconnect(user)
    world.age(241)
    assert look(world.sweeps).unlinks_started == UNLINKS + 5
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


def test_a_dry_run_counts_what_a_run_does_without_doing_it(world: World) -> None:
    stale_everything(world, 3)
    before = world.snapshot()
    counted = look(world.sweeps)
    assert world.snapshot() == before
    # What is given up first is forgotten or unlinked by the same run.
    assert counted == replace(everything(3), bindings_forgotten=3, unlinks_started=3)
    assert sweep(world) == everything(3)
    assert look(world.sweeps) == NOTHING


def test_an_overdue_attempt_ends_with_its_linker_s_verdict(world: World) -> None:
    attempt_id = world.claim(user := world.user())
    world.leases.release(attempt_id, world.lease(attempt_id), Reason.ACCOUNT_BANNED)
    world.age(WINDOW + OVERDUE_SECONDS + 1)
    assert sweep(world).attempts_ended == 1
    assert world.sessions.get(user).reason is Reason.ACCOUNT_BANNED


def test_an_orphan_that_may_still_be_scanned_keeps_its_binding(world: World) -> None:
    secret = Secret()
    user, _ = lost_pairing(world, secret)
    world.sql("DELETE FROM auth.users WHERE id = %s", user)
    world.age(20)  # the linker hangs and has lost its lease; its engine still shows the QR
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
    assert sweep(world).unlinks_started == 1  # until it is gone


KNOWN = """
SELECT our_jid FROM whatsapp_engine.whatsmeow_privacy_tokens UNION ALL SELECT pn FROM whatsapp_engine.whatsmeow_lid_map
"""


def know(world: World, jid: str, contact: str = "5215559999") -> None:
    """Let whatsmeow learn a contact of this device."""
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
    """The map does not tell whose contact a number is."""
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
    assert look(world.sweeps) == Swept(contacts_forgotten=6)
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
    assert look(world.sweeps) == Swept(keys_given_up=5)
    workflow = RecordedWorkflow()

    assert sweep(world, workflow, batch=2) == Swept(keys_given_up=5, unlinks_started=5)

    (started,) = workflow.of("call_unlinks")
    bindings = [world.bound(secret) for secret in strangers.values()]
    assert sorted(started) == sorted(binding["id"] for binding in bindings)
    assert [binding["jid"] for binding in bindings] == list(strangers)
    assert {(it["state"], it["user_id"], it["attempt_id"]) for it in bindings} == {("unlinking", None, None)}
    assert world.bound(kept)["state"] == "linked"
    assert world.bound(shown)["state"] == "offered"
    assert sweep(world) == NOTHING  # until they are due again
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
