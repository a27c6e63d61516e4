"""A click on Connect: when it starts an attempt, and what it does with a live attempt or an overdue one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.core.errors import (
    AtCapacity,
    TooSoon,
    Unauthorized,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import MOST_PER_HOUR, PAUSES, Phase
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, OVERDUE_SECONDS, WINDOW, World
from tests.support.stack import PATIENCE_SECONDS


def test_a_claim_starts_an_attempt_and_shows_it(world: World) -> None:
    user, attempt_id = world.user(), uuid4()

    claim = world.attempts.claim(user, attempt_id, WINDOW, LIMIT)

    assert (claim.claimed, claim.live, claim.linked) == (True, None, False)
    attempt = world.attempts.get(attempt_id)
    assert attempt is not None
    assert (attempt.user_id, attempt.phase) == (user, Phase.QR)
    assert WINDOW - 5 < attempt.remaining <= WINDOW
    assert (attempt.alive, attempt.scanned, attempt.qr_shown, attempt.outcome) == (False, False, False, None)
    row = world.show_row(user)
    assert row is not None
    assert row["session_status"] == "connecting"


def test_ten_clicks_at_once_are_one_attempt(world: World) -> None:
    user, start = world.user(), threading.Barrier(10)
    databases = [world.new_database("whatsapp_api") for _ in range(10)]

    def click(number: int) -> tuple[bool, UUID | None]:
        attempts, attempt_id = Attempts(databases[number]), uuid4()
        attempts.get(uuid4())  # connected, so that only the claims race
        start.wait(PATIENCE_SECONDS)
        claim = attempts.claim(user, attempt_id, WINDOW, LIMIT)
        return claim.claimed, attempt_id if claim.claimed else claim.live

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(click, range(10)))
    assert sum(claimed for claimed, _ in answers) == 1
    assert len({attempt_id for _, attempt_id in answers}) == 1
    assert world.value("SELECT count(*) FROM whatsapp_private.attempts") == 1


def test_two_users_have_an_attempt_each(world: World) -> None:
    assert world.claim() != world.claim()
    assert world.value("SELECT count(*) FROM whatsapp_private.attempts WHERE ended_at IS NULL") == 2


@pytest.mark.parametrize("failures", range(len(PAUSES) + 2))
def test_the_pause_grows_with_the_failures_in_a_row(world: World, failures: int) -> None:
    user = world.user()
    world.claim(user)
    world.sql("UPDATE whatsapp_private.attempts SET ended_at = now(), outcome = 'qr_timeout', failures = %s", failures)

    refused = world.attempts.claim(user, uuid4(), WINDOW, LIMIT)

    pause = PAUSES[min(failures, len(PAUSES) - 1)]
    assert not refused.claimed
    assert pause - 3 < refused.wait <= pause
    world.age(pause)
    assert world.attempts.claim(user, uuid4(), WINDOW, LIMIT).claimed


def test_failures_are_counted_until_a_success(world: World) -> None:
    user = world.user()
    for expected in (1, 2, 3):
        attempt_id = world.claim(user)
        world.fail(attempt_id)
        assert world.attempt(attempt_id)["failures"] == expected
        world.age(1000)
    cancelled = world.claim(user)
    world.fail(cancelled, Reason.CANCELLED)
    assert world.attempt(cancelled)["failures"] == 3
    world.age(1000)

    assert world.attempt(world.link(user, Secret()))["failures"] == 0
    world.attempts.disconnect(user)
    world.age(1000)
    assert world.attempt(world.claim(user))["failures"] == 0


def test_a_user_who_keeps_cancelling_starts_thirty_an_hour(world: World) -> None:
    user, other = world.user(), world.user()
    for _ in range(MOST_PER_HOUR):
        world.claim(user)
        world.attempts.disconnect(user)
        world.age(6)

    refused = world.attempts.claim(user, uuid4(), WINDOW, LIMIT)

    first = 3600 - 6 * MOST_PER_HOUR
    assert not refused.claimed
    assert first - 30 < refused.wait <= first
    assert world.attempts.claim(other, uuid4(), WINDOW, LIMIT).claimed
    world.age(first)
    assert world.attempts.claim(user, uuid4(), WINDOW, LIMIT).claimed


def test_waiting_out_every_window_never_meets_the_hourly_limit() -> None:
    default = 120
    assert MOST_PER_HOUR * default >= 3600


def test_a_linked_device_needs_no_attempt(world: World) -> None:
    user = world.user()
    world.link(user, Secret())
    world.age(1000)

    claim = world.attempts.claim(user, uuid4(), WINDOW, LIMIT)

    assert (claim.claimed, claim.linked) == (False, True)


def test_a_deleted_session_row_of_a_linked_user_is_written_again(world: World) -> None:
    user = world.user()
    world.link(user, Secret())
    world.sql("DELETE FROM public.whatsapp_sessions")

    world.show_row(user)

    session = world.sessions.get(user)
    assert (session.status, session.phone_number) == (Status.CONNECTED, "5215550001")


def test_attempts_are_numbered_by_user(world: World) -> None:
    user = world.user()
    first = world.claim(user)
    world.fail(first)
    world.age(1000)
    second, other = world.claim(user), world.claim()

    assert [world.attempt(one)["number"] for one in (first, second, other)] == [1, 2, 1]
    last = world.last(user)
    assert last is not None
    assert last.id == second


def test_a_linked_user_who_was_deleted_is_refused(world: World) -> None:
    user = world.user()
    world.link(user, Secret())
    world.sql("DELETE FROM auth.users WHERE id = %s", user)
    assert world.session_rows.write(user, 1)  # the user was deleted after the claim
    with pytest.raises(Unauthorized):
        connect(user, WINDOW, LIMIT, world.services(RecordedWorkflow()))


def test_connect_inside_the_pause_says_how_long(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    world.fail(world.claim(user))

    with pytest.raises(TooSoon) as refused:
        connect(user, WINDOW, LIMIT, world.services(workflow))

    assert 3 <= refused.value.retry_after <= 5
    assert workflow.calls == []


def test_a_full_system_refuses_new_users_and_keeps_the_others(world: World) -> None:
    """One user cannot fill the system, because each user has at most one live attempt."""
    inside, outside, workflow = world.user(), world.user(), RecordedWorkflow()
    limit = 3
    for user in (inside, world.user(), world.user()):
        assert connect(user, WINDOW, limit, world.services(workflow))

    with pytest.raises(AtCapacity):
        connect(outside, WINDOW, limit, world.services(workflow))

    assert not connect(inside, WINDOW, limit, world.services(workflow))
    assert world.last(outside) is None
    assert len(set(workflow.of("start"))) == limit
    world.attempts.disconnect(inside)
    assert connect(outside, WINDOW, limit, world.services(workflow))


def test_attempts_without_a_workflow_do_not_count_as_live(world: World) -> None:
    limit, workflow = 3, RecordedWorkflow()
    for _ in range(limit):
        world.claim()
    with pytest.raises(AtCapacity):
        connect(world.user(), WINDOW, limit, world.services(workflow))

    world.age(WINDOW + OVERDUE_SECONDS + 1)

    assert connect(world.user(), WINDOW, limit, world.services(workflow))


def test_connect_when_linked_answers_connected(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    world.link(user, Secret())
    world.sql("UPDATE public.whatsapp_sessions SET session_status = 'error', phone_number = '1'")

    assert not connect(user, WINDOW, LIMIT, world.services(workflow))

    row = world.row(user)
    assert row
    assert (row["session_status"], row["phone_number"]) == ("connected", "5215550001")
    assert workflow.calls == []
