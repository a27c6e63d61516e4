"""A click or a poll meets an attempt that is overdue, or whose linker has left a verdict."""

from __future__ import annotations

from uuid import UUID

import pytest
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import Attempt, Phase
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.pairing.disconnect import disconnect
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, OVERDUE_SECONDS, WINDOW, World, entered


def test_a_click_ends_an_overdue_attempt_and_starts_the_next(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    lost = world.claim(user)
    lease = world.lease(lost)
    world.sql("UPDATE whatsapp_private.attempts SET task_token = 'gone'")
    world.age(WINDOW + OVERDUE_SECONDS - 5)
    world.leases.renew(lost, lease)  # the linker shows a QR and waits for the workflow
    assert not connect(user, WINDOW, LIMIT, world.services(workflow))
    world.age(10)

    assert connect(user, WINDOW, LIMIT, world.services(workflow))

    assert world.attempt(lost)["outcome"] == "qr_timeout"
    assert len(workflow.of("start")) == 1


def test_a_click_ends_an_attempt_without_linker_after_its_window(world: World) -> None:
    """Execution and linker are gone, and the linker has left no verdict."""
    user, workflow = world.user(), RecordedWorkflow()
    lost = world.claim(user)
    world.attempts.open_phase(lost, entered(Phase.QR, "token"), WINDOW)
    world.lease(lost)
    world.age(WINDOW + 1)
    assert world.sessions.get(user).status is Status.ERROR

    assert connect(user, WINDOW, LIMIT, world.services(workflow))

    assert world.attempt(lost)["outcome"] == "qr_timeout"


class Revived(Attempts):
    """A repository: the workflow opens the scan window just before ``get`` reads the attempt."""

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
    """Make an attempt whose linker has left a verdict, and whose execution an operator has stopped."""
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
    """The linker reported that no phone had scanned, and then a phone scanned. Status and end give the same reason."""
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
