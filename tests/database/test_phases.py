"""Claims, phases and ends, on a real Postgres."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.core.errors import (
    AtCapacity,
    DatabaseUnavailable,
    TooSoon,
    Unauthorized,
    WorkflowSilent,
    WorkflowUnavailable,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import MOST_PER_HOUR, PAUSES, Again, Attempt, Phase
from whatsapp_pairing.pairing.attempts import Attempts, Ended
from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.pairing.disconnect import disconnect
from whatsapp_pairing.pairing.phases import open_phase, settle_phase
from whatsapp_pairing.runtime.workflow import DECIDED
from whatsapp_pairing.session.session import Status

from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.stack import PATIENCE_SECONDS
from tests.support.world import LIMIT, OVERDUE_SECONDS, WINDOW, Secret, World, entered


def fail(world: World, attempt_id: UUID, reason: Reason = Reason.QR_TIMEOUT) -> None:
    attempt = world.attempts.get(attempt_id)
    assert attempt is not None
    assert world.attempts.end(attempt, reason) is not None


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

    def click(number: int) -> bool:
        attempts = Attempts(databases[number])
        attempts.get(uuid4())  # connected, so that only the claims race
        start.wait(PATIENCE_SECONDS)
        claim = attempts.claim(user, uuid4(), WINDOW, LIMIT)
        assert claim.claimed != bool(claim.live)
        return claim.claimed

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(click, range(10))) == 1
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


def test_failures_are_counted_over_attempts_and_forgotten_after_success(world: World) -> None:
    user = world.user()
    for expected in (1, 2, 3):
        attempt_id = world.claim(user)
        fail(world, attempt_id)
        assert world.attempt(attempt_id)["failures"] == expected
        world.age(1000)
    cancelled = world.claim(user)
    fail(world, cancelled, Reason.CANCELLED)
    assert world.attempt(cancelled)["failures"] == 3
    world.age(1000)

    assert world.attempt(world.link(user, Secret()))["failures"] == 0
    world.attempts.disconnect(user)
    world.age(1000)
    assert world.attempt(world.claim(user))["failures"] == 0


def test_who_cancels_and_clicks_all_the_time_starts_thirty_an_hour(world: World) -> None:
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


def test_who_waits_every_window_out_never_waits_for_the_hour() -> None:
    default = 120
    assert MOST_PER_HOUR * default >= 3600


def test_a_linked_device_needs_no_attempt(world: World) -> None:
    user = world.user()
    world.link(user, Secret())
    world.age(1000)

    claim = world.attempts.claim(user, uuid4(), WINDOW, LIMIT)

    assert (claim.claimed, claim.linked) == (False, True)


def test_a_user_whose_row_lies_is_shown_as_linked_again(world: World) -> None:
    user = world.user()
    world.link(user, Secret())
    world.sql("DELETE FROM public.whatsapp_sessions")

    world.show_row(user)

    session = world.sessions.get(user)
    assert (session.status, session.phone_number) == (Status.CONNECTED, "5215550001")


def test_attempts_are_numbered_by_user(world: World) -> None:
    user = world.user()
    first = world.claim(user)
    fail(world, first)
    world.age(1000)
    second, other = world.claim(user), world.claim()

    assert [world.attempt(one)["number"] for one in (first, second, other)] == [1, 2, 1]
    last = world.last(user)
    assert last is not None
    assert last.id == second


# ── connect ──


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
            raise DatabaseUnavailable

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
def test_a_click_leaves_an_attempt_that_is_back_in_this_moment(world: World, workflow_entered: bool) -> None:
    user = world.user()
    attempt_id = world.claim(user)
    if workflow_entered:
        world.attempts.open_phase(attempt_id, entered(Phase.QR, "token"), WINDOW)
    world.lease(attempt_id)
    world.age(WINDOW + OVERDUE_SECONDS + 1)

    assert not connect(user, WINDOW, LIMIT, world.services(RecordedWorkflow(), Revived(world)))

    assert world.attempt(attempt_id)["outcome"] is None


def test_a_click_ends_an_overdue_attempt_with_what_its_linker_found_out(world: World) -> None:
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


def test_an_attempt_with_a_verdict_takes_no_place(world: World) -> None:
    judged(world, world.user(), Reason.CLIENT_OUTDATED)
    assert connect(world.user(), WINDOW, 1, world.services(RecordedWorkflow()))


def test_a_dismissed_verdict_is_not_shown_again(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    judged(world, user, Reason.CLIENT_OUTDATED)
    assert disconnect(user, world.services(workflow))
    session = world.sessions.get(user)
    assert (session.status, session.reason) == (Status.DISCONNECTED, Reason.CANCELLED)


@pytest.mark.parametrize(("workflow", "since"), [(True, OVERDUE_SECONDS + 1), (False, 1)])
def test_an_attempt_that_nobody_ends_is_not_shown_as_running(world: World, workflow: bool, since: int) -> None:
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


def test_a_linked_user_who_was_deleted_is_nobody(world: World) -> None:
    user = world.user()
    world.link(user, Secret())
    world.sql("DELETE FROM auth.users WHERE id = %s", user)
    assert world.session_rows.write(user, 1)  # deleted after the claim, before this
    with pytest.raises(Unauthorized):
        connect(user, WINDOW, LIMIT, world.services(RecordedWorkflow()))


def test_connect_inside_the_pause_says_how_long(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    fail(world, world.claim(user))

    with pytest.raises(TooSoon) as refused:
        connect(user, WINDOW, LIMIT, world.services(workflow))

    assert 3 <= refused.value.retry_after <= 5
    assert workflow.calls == []


def test_a_full_system_takes_nobody_new_and_turns_nobody_out(world: World) -> None:
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


def test_attempts_whose_workflow_is_gone_take_no_place(world: World) -> None:
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


# ── open_phase ──


def test_opening_auth_starts_its_window_once(world: World) -> None:
    attempt_id = world.claim()
    world.attempts.open_phase(attempt_id, entered(Phase.QR, "one"), 60)
    world.age(100)

    first = world.attempts.open_phase(attempt_id, entered(Phase.AUTH, "two"), 60)
    world.age(30)
    again = world.attempts.open_phase(attempt_id, entered(Phase.AUTH, "three"), 60)

    assert first is not None
    assert again is not None
    assert (first.phase, again.phase) == (Phase.AUTH, Phase.AUTH)
    assert 55 < first.remaining <= 60
    assert 25 < again.remaining <= 30
    assert again.task_token == "three"


def test_opening_qr_leaves_its_window_alone_and_never_goes_back(world: World) -> None:
    attempt_id = world.claim()
    deadline = world.attempt(attempt_id)["deadline"]
    opened = world.attempts.open_phase(attempt_id, entered(Phase.QR, "one"), 60)
    assert opened is not None
    assert opened.deadline == deadline

    world.open_auth(attempt_id)
    late = world.attempts.open_phase(attempt_id, entered(Phase.QR, "late"), 60)
    assert late is not None
    assert late.phase is Phase.AUTH


@pytest.mark.parametrize("later", [Phase.QR, Phase.AUTH])
def test_a_late_call_of_an_earlier_wait_keeps_the_token(world: World, later: Phase) -> None:
    """Lambda may deliver the call of the first wait once more when the workflow is in a later wait."""
    attempt_id, first = world.claim(), entered(Phase.QR, "first")
    world.attempts.open_phase(attempt_id, first, WINDOW)
    world.attempts.open_phase(attempt_id, entered(later, "second"), WINDOW)
    before = world.attempt(attempt_id)

    late = world.attempts.open_phase(attempt_id, first, WINDOW)

    assert late is not None
    assert (late.task_token, late.phase) == ("second", later)
    assert world.attempt(attempt_id) == before


def test_an_ended_attempt_is_not_opened(world: World) -> None:
    attempt_id = world.claim()
    fail(world, attempt_id)
    before = world.snapshot()

    late = world.attempts.open_phase(attempt_id, entered(Phase.QR, "late"), 60)
    assert late is not None
    assert (late.outcome, late.task_token) == ("qr_timeout", None)
    assert world.attempts.open_phase(uuid4(), entered(Phase.QR, "nobody's"), 60) is None
    assert world.snapshot() == before


def opened(world: World, attempt_id: UUID, phase: Phase) -> list[tuple[object, ...]]:
    workflow = RecordedWorkflow()
    open_phase(attempt_id, entered(phase, "token"), WINDOW, world.services(workflow))
    return workflow.calls


def test_a_wait_starts_a_linker_unless_one_is_alive(world: World) -> None:
    attempt_id = world.claim()
    assert opened(world, attempt_id, Phase.QR) == [("call_linker", attempt_id)]
    world.lease(attempt_id)
    assert opened(world, attempt_id, Phase.QR) == []
    world.age(9)
    assert opened(world, attempt_id, Phase.QR) == [("call_linker", attempt_id)]


def test_a_wait_that_has_nothing_to_wait_for_is_answered_at_once(world: World) -> None:
    shown, refused, cancelled = world.claim(), world.claim(), world.claim()
    world.show(shown, world.lease(shown), Secret())
    world.leases.release(refused, world.lease(refused), Reason.PASSKEY_REQUIRED)
    fail(world, cancelled, Reason.CANCELLED)
    connected = world.link(world.user(), Secret())

    assert opened(world, shown, Phase.QR) == [("succeed", "token")]
    assert opened(world, refused, Phase.QR) == [("fail", "token")]
    assert opened(world, cancelled, Phase.QR) == [("fail", "token")]
    assert opened(world, connected, Phase.AUTH) == [("succeed", "token")]
    assert opened(world, uuid4(), Phase.AUTH) == [("fail", "token")]


# ── end and settle ──


@pytest.mark.parametrize("reason", Reason)
def test_an_end_is_recorded_and_leaves_nothing_behind(world: World, reason: Reason) -> None:
    user, secret = world.user(), Secret()
    attempt_id = world.claim(user)
    world.show(attempt_id, world.lease(attempt_id), secret)
    attempt = world.attempts.get(attempt_id)
    assert attempt is not None

    ended = world.attempts.end(attempt, reason)
    assert ended is not None
    assert ended.devices == []

    session = world.sessions.get(user)
    assert session.status is (Status.DISCONNECTED if reason.by_choice else Status.ERROR)
    assert session.reason is reason
    row, kept = world.show_row(user), world.attempt(attempt_id)
    assert (row["qr_code"] if row else None) is None
    assert (kept["outcome"], kept["lease_expires_at"], kept["qr_expires_at"]) == (reason, None, None)
    assert kept["failures"] == (0 if reason.by_choice else 1)
    assert world.bound(secret)["state"] == "unlinking"


def test_an_end_names_the_devices_that_have_keys(world: World) -> None:
    attempt_id = world.claim()
    lease = world.lease(attempt_id)
    offered, scanned = Secret(), Secret()
    world.show(attempt_id, lease, offered)
    world.show(attempt_id, lease, scanned)
    world.store_keys(scanned, "5215550009:3@s.whatsapp.net")
    attempt = world.attempts.get(attempt_id)
    assert attempt is not None

    ended = world.attempts.end(attempt, Reason.SCAN_TIMEOUT)
    assert ended is not None
    assert ended.devices == [world.bound(scanned)["id"]]


def test_an_end_that_was_decided_on_an_old_deadline_changes_nothing(world: World) -> None:
    attempt_id = world.claim()
    decided_on = world.attempts.get(attempt_id)
    assert decided_on is not None
    world.open_auth(attempt_id)
    before = world.snapshot()

    assert world.attempts.end(decided_on, Reason.QR_TIMEOUT) is None
    assert world.snapshot() == before


def test_an_attempt_ends_once(world: World) -> None:
    attempt_id = world.claim()
    attempt = world.attempts.get(attempt_id)
    assert attempt is not None
    fail(world, attempt_id, Reason.CANCELLED)
    before = world.snapshot()

    assert world.attempts.end(attempt, Reason.INTERNAL) is None
    assert world.snapshot() == before


def settle(world: World, attempt_id: UUID, error: str | None, workflow: RecordedWorkflow) -> Again | str:
    return settle_phase(attempt_id, error, world.services(workflow))


def test_a_lost_linker_inside_the_window_is_replaced(world: World) -> None:
    attempt_id, workflow = world.claim(), RecordedWorkflow()
    world.age(WINDOW - 30)

    step = settle(world, attempt_id, "States.Timeout", workflow)

    assert isinstance(step, Again)
    assert (step.phase, step.heartbeat) == (Phase.QR, 10)
    assert 28 <= step.seconds <= 30
    assert world.attempt(attempt_id)["outcome"] is None


def test_a_lost_linker_after_the_window_ends_it(world: World) -> None:
    attempt_id, workflow = world.claim(), RecordedWorkflow()
    world.lease(attempt_id)
    world.age(WINDOW)

    assert settle(world, attempt_id, "States.Timeout", workflow) is Reason.QR_TIMEOUT
    assert settle(world, attempt_id, "States.Timeout", workflow) == "qr_timeout"


def test_settling_unlinks_what_has_keys(world: World) -> None:
    attempt_id, workflow, secret = world.claim(), RecordedWorkflow(), Secret()
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.store_keys(secret, "5215550009:3@s.whatsapp.net")
    world.leases.release(attempt_id, lease, Reason.PAIRING_REJECTED)

    assert settle(world, attempt_id, DECIDED, workflow) is Reason.PAIRING_REJECTED
    assert workflow.of("call_unlinks") == [[world.bound(secret)["id"]]]


def test_settling_a_connected_or_forgotten_attempt_only_says_so(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    connected = world.link(user, Secret())
    before = world.snapshot()

    assert settle(world, connected, "States.HeartbeatTimeout", workflow) == "connected"
    assert settle(world, uuid4(), "States.Timeout", workflow) is Reason.INTERNAL
    assert world.snapshot() == before


def test_settling_writes_the_row_of_an_attempt_that_has_ended(world: World) -> None:
    """The function that ended it died before it wrote the row."""
    user, workflow = world.user(), RecordedWorkflow()
    attempt_id = world.claim(user)
    world.show_row(user)
    fail(world, attempt_id)

    assert settle(world, attempt_id, "States.HeartbeatTimeout", workflow) == world.attempt(attempt_id)["outcome"]
    row = world.row(user)
    assert row
    assert row["session_status"] == "error"
    assert not world.value("SELECT behind FROM whatsapp_private.sessions")


def test_settling_decides_again_when_the_attempt_has_changed(world: World) -> None:
    attempt_id = world.claim()
    world.age(WINDOW)

    class Interrupted(Attempts):
        """A linker's scan comes between the reading and the end, once."""

        def end(self, attempt: Attempt, reason: Reason) -> Ended | None:
            world.sql("UPDATE whatsapp_private.attempts SET deadline = now() + interval '1 minute'")
            return super().end(attempt, reason)

    interrupted = Interrupted(world.new_database("whatsapp_worker"))
    step = settle_phase(attempt_id, None, world.services(RecordedWorkflow(), interrupted))

    assert isinstance(step, Again)
    assert world.attempt(attempt_id)["outcome"] is None


# ── disconnect ──


def test_disconnect_without_anything_changes_nothing(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    assert not disconnect(user, world.services(workflow))
    assert world.row(user) is None


@pytest.mark.parametrize("step", ["claimed", "opened", "leased", "shown", "stored", "scanned", "auth"])
def test_disconnect_at_every_step_ends_the_pairing(world: World, step: str) -> None:
    user, secret, workflow = world.user(), Secret(), RecordedWorkflow()
    attempt_id = world.claim(user)
    steps = ["claimed", "opened", "leased", "shown", "stored", "scanned", "auth"]
    reached = steps.index(step)
    if reached >= 1:
        world.attempts.open_phase(attempt_id, entered(Phase.QR, "token-qr"), WINDOW)
    if reached >= 2:
        lease = world.lease(attempt_id)
    if reached >= 3:
        world.show(attempt_id, lease, secret)
    if reached >= 4:
        world.store_keys(secret, "5215550009:3@s.whatsapp.net")
    if reached >= 5:
        assert world.leases.scanned(attempt_id, lease, "5215550009:3@s.whatsapp.net")
    if reached >= 6:
        world.open_auth(attempt_id)

    assert disconnect(user, world.services(workflow))

    token = [None, "token-qr", "token-qr", "token-qr", "token-qr", "token-qr", "token-auth"][reached]
    assert workflow.calls[0] == ("fail", token)
    assert workflow.of("call_unlinks") == [[world.bound(secret)["id"]] if reached >= 4 else []]
    session = world.sessions.get(user)
    assert (session.status, session.reason) == (Status.DISCONNECTED, Reason.CANCELLED)
    ended = world.attempt(attempt_id)
    assert (ended["outcome"], ended["failures"], ended["lease_expires_at"]) == ("cancelled", 0, None)
    assert not disconnect(user, world.services(RecordedWorkflow()))
    world.age(6)
    assert world.attempts.claim(user, uuid4(), WINDOW, LIMIT).claimed


def test_disconnect_of_a_linked_user(world: World) -> None:
    user, other, secret, kept, workflow = world.user(), world.user(), Secret(), Secret(), RecordedWorkflow()
    world.link(user, secret)
    world.link(other, kept, "5215550002:1@s.whatsapp.net")

    assert disconnect(user, world.services(workflow))

    assert workflow.of("call_unlinks") == [[world.bound(secret)["id"]]]
    session = world.sessions.get(user)
    assert (session.status, session.phone_number, session.connected_at) == (Status.DISCONNECTED, None, None)
    assert world.sessions.get(other).status is Status.CONNECTED
    assert world.bound(kept)["state"] == "linked"


def test_disconnect_of_a_linked_user_who_deleted_the_row(world: World) -> None:
    user, secret, workflow = world.user(), Secret(), RecordedWorkflow()
    world.link(user, secret)
    world.sql("DELETE FROM public.whatsapp_sessions")

    assert disconnect(user, world.services(workflow))
    assert workflow.of("call_unlinks") == [[world.bound(secret)["id"]]]


def test_disconnect_of_a_deleted_user_finds_nothing(world: World) -> None:
    user = world.user()
    world.claim(user)
    world.sql("DELETE FROM auth.users WHERE id = %s", user)

    assert not disconnect(user, world.services(RecordedWorkflow()))
    assert world.value("SELECT count(*) FROM whatsapp_private.sessions") == 0


def test_disconnect_works_while_the_workflow_is_away(world: World) -> None:
    user = world.user()
    world.claim(user)
    assert disconnect(user, world.services(RecordedWorkflow(unavailable={"fail"})))
    assert world.sessions.get(user).status is Status.DISCONNECTED


def test_disconnect_after_an_error_clears_it(world: World) -> None:
    user = world.user()
    fail(world, world.claim(user))
    assert disconnect(user, world.services(RecordedWorkflow()))
    assert world.sessions.get(user).status is Status.DISCONNECTED


def test_disconnect_clears_a_qr_under_a_status_that_its_owner_has_written(world: World) -> None:
    user, secret = world.user(), Secret()
    attempt_id = world.claim(user)
    world.show(attempt_id, world.lease(attempt_id), secret)
    world.show_row(user)
    world.sql("UPDATE public.whatsapp_sessions SET session_status = 'disconnected'")
    disconnect(user, world.services(RecordedWorkflow()))
    row = world.row(user)
    assert row is not None
    assert row["qr_code"] is None
