"""Cleanup finds all lost attempts, devices, session rows and keys, and changes nothing that is live."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from uuid import UUID

import psycopg
import pytest
from whatsapp_pairing.cleanup import Cleaning, Sweeps, Swept, count_only
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
from tests.support.shown_pairing import JID
from tests.support.stack import PATIENCE_SECONDS
from tests.support.stale_rows import lost_pairing


def test_cleanup_changes_nothing_that_is_live(world: World) -> None:
    world.claim()
    shown, scanned = world.claim(), world.claim()
    world.show(shown, world.lease(shown), Secret())
    secret, lease = Secret(), world.lease(scanned)
    world.show(scanned, lease, secret)
    world.store_keys(secret, JID)
    world.leases.scanned(scanned, lease, JID)
    world.link(world.user(), Secret())
    world.age_rows(100_000)  # old session rows that say "connecting", with a live attempt
    world.age(WINDOW + OVERDUE_SECONDS - 5)  # as late as a workflow may be
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
    assert world.attempt(neglected)["outcome"] == "internal"  # its workflow never started
    assert world.attempt(fresh)["outcome"] is None
    assert world.sessions.get(user).status is Status.ERROR
    assert sweep(world) == NOTHING


def test_an_overdue_attempt_that_is_revived_meanwhile_goes_on(world: World) -> None:
    """While cleanup works on a batch, a late call of the workflow opens the scan window."""
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

    # A sweep skips rows that the other run has locked, and ends at the first batch that is not full. A third run does
    # the rest.
    swept = total(first, second, sweep(world, workflow))
    # Both runs may mark the same session row as wrong, and each then counts it as written. Each run may leave rows that
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
    """Two runs at once would deadlock if they locked the rows in different orders."""
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

    assert first == Swept(attempts_ended=3, unlinks_started=5)  # a run starts unlinks even when its time is up
    assert total(first, sweep(world)) == everything(5)


def test_a_dry_run_counts_what_a_run_does_without_doing_it(world: World) -> None:
    stale_everything(world, 3)
    before = world.snapshot()
    counted = count_only(world.sweeps)
    assert world.snapshot() == before
    # The run forgets or unlinks the devices that it has given up before. The dry run cannot count them.
    assert counted == replace(everything(3), bindings_forgotten=3, unlinks_started=3)
    assert sweep(world) == everything(3)
    assert count_only(world.sweeps) == NOTHING


def test_an_overdue_attempt_ends_with_its_linker_s_verdict(world: World) -> None:
    attempt_id = world.claim(user := world.user())
    world.leases.release(attempt_id, world.lease(attempt_id), Reason.ACCOUNT_BANNED)
    world.age(WINDOW + OVERDUE_SECONDS + 1)
    assert sweep(world).attempts_ended == 1
    assert world.sessions.get(user).reason is Reason.ACCOUNT_BANNED
