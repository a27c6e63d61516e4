"""A click on Connect: when it starts an attempt, and what it does with an attempt that lives or is left over."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.core.errors import (
    AtCapacity,
    StoreUnavailable,
    TooSoon,
    Unauthorized,
    WorkflowSilent,
    WorkflowUnavailable,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import MOST_PER_HOUR, PAUSES, Attempt, Phase
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.pairing.disconnect import disconnect
from whatsapp_pairing.pairing.phases import open_phase
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, OVERDUE_SECONDS, WINDOW, World, entered
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


def test_connect_starts_one_workflow_and_a_second_click_none(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()

    first = connect(user, WINDOW, LIMIT, world.services(workflow))
    attempt = world.last(user)
    assert attempt is not None
    open_phase(attempt.id, entered(Phase.QR, "token"), WINDOW, world.services(workflow))
    second = connect(user, WINDOW, LIMIT, world.services(workflow))

    assert (first, second) == (True, False)
    assert world.sessions.get(user).status is Status.CONNECTING
    assert workflow.of("start") == [attempt.id]


def test_a_click_whose_workflow_does_not_start_ends_its_attempt(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow(unavailable={"start"})

    with pytest.raises(WorkflowUnavailable):
        connect(user, WINDOW, LIMIT, world.services(workflow))

    session, row = world.sessions.get(user), world.row(user)
    assert (session.status, session.reason) == (Status.ERROR, Reason.INTERNAL)
    assert row
    assert row["session_status"] == "error"
    world.age(6)  # the pause after one failure
    workflow.unavailable.clear()
    assert connect(user, WINDOW, LIMIT, world.services(workflow))


@pytest.mark.parametrize(("age", "outcome"), [(2, None), (21, "internal")])
def test_a_click_ends_no_attempt_that_another_may_be_starting(world: World, age: int, outcome: str | None) -> None:
    """The first click has started the workflow, which has not entered its wait yet. AWS refuses the second click."""
    user, workflow = world.user(), RecordedWorkflow()
    assert connect(user, WINDOW, LIMIT, world.services(workflow))
    (attempt_id,) = workflow.of("start")
    world.age(age)

    with pytest.raises(WorkflowUnavailable):
        connect(user, WINDOW, LIMIT, world.services(RecordedWorkflow(unavailable={"start"})))

    assert world.attempt(attempt_id)["outcome"] == outcome


def test_a_workflow_whose_start_was_not_confirmed_goes_on(world: World) -> None:
    """AWS has started the execution, and its answer was lost."""
    user = world.user()

    class Unconfirmed(RecordedWorkflow):
        def start(self, attempt_id: UUID) -> None:
            open_phase(attempt_id, entered(Phase.QR, "token"), WINDOW, world.services(self))
            raise WorkflowUnavailable

    assert connect(user, WINDOW, LIMIT, world.services(Unconfirmed()))

    assert world.sessions.get(user).status is Status.CONNECTING


def test_an_attempt_whose_workflow_may_still_start_goes_on(world: World) -> None:
    """AWS has not answered. The next click starts the same execution again, which changes nothing if it runs."""
    user, workflow = world.user(), RecordedWorkflow()

    class Silent(RecordedWorkflow):
        def start(self, attempt_id: UUID) -> None:  # noqa: ARG002
            raise WorkflowSilent

    with pytest.raises(WorkflowUnavailable):
        connect(user, WINDOW, LIMIT, world.services(Silent()))

    assert world.sessions.get(user).status is Status.CONNECTING
    assert not connect(user, WINDOW, LIMIT, world.services(workflow))
    assert len(workflow.of("start")) == 1


def test_a_failed_start_is_reported_while_postgres_is_away(world: World) -> None:
    """The claim was stored, AWS refuses, and then Postgres goes away: the person reads that AWS refused."""
    user = world.user()

    class Away(Attempts):
        def get(self, attempt_id: UUID) -> Attempt | None:  # noqa: ARG002
            raise StoreUnavailable

    away = Away(world.new_database("whatsapp_api"))
    with pytest.raises(WorkflowUnavailable):
        connect(user, WINDOW, LIMIT, world.services(RecordedWorkflow(unavailable={"start"}), away))


def test_a_click_starts_the_workflow_that_an_earlier_one_did_not(world: World) -> None:
    """The call that claimed the attempt died before StartExecution."""
    user, workflow = world.user(), RecordedWorkflow()
    attempt_id = world.claim(user)
    world.age(WINDOW - 31)

    assert not connect(user, WINDOW, LIMIT, world.services(workflow))

    assert workflow.of("start") == [attempt_id]
    assert world.attempt(attempt_id)["outcome"] is None


@pytest.mark.parametrize("left", [29, -1], ids=["29 s left", "window over"])
def test_a_click_starts_no_workflow_that_has_too_little_time(world: World, left: int) -> None:
    """A person needs 30 s to scan. A linker without time would make the person read that WhatsApp was slow."""
    user, workflow = world.user(), RecordedWorkflow()
    lost = world.claim(user)
    world.age(WINDOW - left)

    assert connect(user, WINDOW, LIMIT, world.services(workflow))

    assert world.attempt(lost)["outcome"] == "internal"
    assert lost not in workflow.of("start")


def test_a_second_click_within_a_short_window_ends_nothing(world: World) -> None:
    """A window may be shorter than the 30 s that a person needs."""
    user, workflow = world.user(), RecordedWorkflow()
    assert connect(user, 20, LIMIT, world.services(workflow))
    assert not connect(user, 20, LIMIT, world.services(workflow))
    assert world.value("SELECT count(*) FROM whatsapp_private.attempts WHERE ended_at IS NULL") == 1


def test_a_click_ends_an_overdue_attempt_and_starts_the_next(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    lost = world.claim(user)
    lease = world.lease(lost)
    world.sql("UPDATE whatsapp_private.attempts SET task_token = 'gone'")
    world.age(WINDOW + OVERDUE_SECONDS - 5)
    world.leases.renew(lost, lease)  # a linker that waits for its workflow
    assert not connect(user, WINDOW, LIMIT, world.services(workflow))
    world.age(10)

    assert connect(user, WINDOW, LIMIT, world.services(workflow))

    assert world.attempt(lost)["outcome"] == "qr_timeout"
    assert len(workflow.of("start")) == 1


def test_a_click_ends_an_attempt_without_linker_after_its_window(world: World) -> None:
    """Execution and linker are gone, and no verdict was left."""
    user, workflow = world.user(), RecordedWorkflow()
    lost = world.claim(user)
    world.attempts.open_phase(lost, entered(Phase.QR, "token"), WINDOW)
    world.lease(lost)
    world.age(WINDOW + 1)
    assert world.sessions.get(user).status is Status.ERROR

    assert connect(user, WINDOW, LIMIT, world.services(workflow))

    assert world.attempt(lost)["outcome"] == "qr_timeout"


class Revived(Attempts):
    """The workflow opens the scan's window right before the attempt is read."""

    def __init__(self, world: World) -> None:
        super().__init__(world.new_database("whatsapp_api"))
        self._world = world

    def get(self, attempt_id: UUID) -> Attempt | None:
        self._world.open_auth(attempt_id)
        return super().get(attempt_id)


@pytest.mark.parametrize("workflow_entered", [True, False])
def test_a_click_leaves_an_attempt_whose_window_just_opened(world: World, workflow_entered: bool) -> None:
    user = world.user()
    attempt_id = world.claim(user)
    if workflow_entered:
        world.attempts.open_phase(attempt_id, entered(Phase.QR, "token"), WINDOW)
    world.lease(attempt_id)
    world.age(WINDOW + OVERDUE_SECONDS + 1)

    assert not connect(user, WINDOW, LIMIT, world.services(RecordedWorkflow(), Revived(world)))

    assert world.attempt(attempt_id)["outcome"] is None


def test_a_click_ends_an_overdue_attempt_with_its_verdict(world: World) -> None:
    user = world.user()
    overdue = world.claim(user)
    world.leases.release(overdue, world.lease(overdue), Reason.ACCOUNT_BANNED)
    world.age(WINDOW + OVERDUE_SECONDS + 1)
    assert connect(user, WINDOW, LIMIT, world.services(RecordedWorkflow()))
    assert world.attempt(overdue)["outcome"] == "account_banned"


def judged(world: World, user: UUID, verdict: Reason) -> UUID:
    """An attempt whose linker has left a verdict, and whose execution an operator has stopped."""
    attempt_id = world.claim(user)
    world.attempts.open_phase(attempt_id, entered(Phase.QR, "token"), WINDOW)
    world.leases.release(attempt_id, world.lease(attempt_id), verdict)
    world.age(10)
    return attempt_id


@pytest.mark.parametrize(
    ("verdict", "status"),
    [(Reason.CLIENT_OUTDATED, Status.ERROR), (Reason.UNLINKED_FROM_PHONE, Status.DISCONNECTED)],
)
def test_a_verdict_is_shown_before_any_workflow_reads_it(world: World, verdict: Reason, status: Status) -> None:
    user = world.user()
    judged(world, user, verdict)
    session, row = world.sessions.get(user), world.show_row(user)
    assert (session.status, session.reason, session.qr) == (status, verdict, None)
    assert (row or {"session_status": "disconnected"})["session_status"] == status


def test_a_verdict_is_not_shown_when_a_phone_scanned_just_then(world: World) -> None:
    """The linker found that nobody scanned. Status and end say the same: the pairing broke off."""
    user, secret = world.user(), Secret()
    attempt_id = world.claim(user)
    world.open_auth(attempt_id)
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.store_keys(secret, "5215550009:3@s.whatsapp.net")
    world.leases.release(attempt_id, lease, Reason.SCAN_TIMEOUT)

    session = world.sessions.get(user)

    assert (session.status, session.reason) == (Status.ERROR, Reason.LINKER_FAILED)
    world.age(10)
    assert connect(user, WINDOW, LIMIT, world.services(RecordedWorkflow()))
    assert world.attempt(attempt_id)["outcome"] == session.reason


def test_a_click_ends_an_attempt_with_a_verdict_and_no_linker(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    lost = judged(world, user, Reason.CLIENT_OUTDATED)

    assert connect(user, WINDOW, LIMIT, world.services(workflow))

    assert world.attempt(lost)["outcome"] == "client_outdated"
    assert world.sessions.get(user).status is Status.CONNECTING


def test_an_attempt_with_a_verdict_does_not_count_as_live(world: World) -> None:
    judged(world, world.user(), Reason.CLIENT_OUTDATED)
    assert connect(world.user(), WINDOW, 1, world.services(RecordedWorkflow()))


def test_a_dismissed_verdict_is_not_shown_again(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    judged(world, user, Reason.CLIENT_OUTDATED)
    assert disconnect(user, world.services(workflow))
    session = world.sessions.get(user)
    assert (session.status, session.reason) == (Status.DISCONNECTED, Reason.CANCELLED)


@pytest.mark.parametrize(("workflow", "since"), [(True, OVERDUE_SECONDS + 1), (False, 1)])
def test_an_overdue_attempt_is_not_shown_as_running(world: World, workflow: bool, since: int) -> None:
    user = world.user()
    attempt_id = world.claim(user)
    if workflow:
        world.attempts.open_phase(attempt_id, entered(Phase.QR, "token"), WINDOW)
        world.show(attempt_id, world.lease(attempt_id), Secret(), seconds=1000)
    world.age(WINDOW + since)

    session, row = world.sessions.get(user), world.show_row(user)

    assert (session.status, session.qr) == (Status.ERROR, None)
    assert session.reason is (Reason.QR_TIMEOUT if workflow else Reason.INTERNAL)
    assert row
    assert row["session_status"] == "error"


def test_a_linked_user_who_was_deleted_is_refused(world: World) -> None:
    user = world.user()
    world.link(user, Secret())
    world.sql("DELETE FROM auth.users WHERE id = %s", user)
    assert world.session_rows.write(user, 1)  # deleted after the claim, before this
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
    """Nobody can fill it alone: one user has one attempt."""
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
