"""A click starts the workflow of its attempt. AWS may refuse the start, or its answer may be lost."""

from __future__ import annotations

from uuid import UUID

import pytest
from whatsapp_pairing.core.errors import (
    DatabaseUnavailable,
    WorkflowSilent,
    WorkflowUnavailable,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import Attempt, Phase
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.pairing.phases import open_phase
from whatsapp_pairing.session.session import Status

from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, WINDOW, World, entered


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
    world.age(6)  # longer than the pause after one failure
    workflow.unavailable.clear()
    assert connect(user, WINDOW, LIMIT, world.services(workflow))


@pytest.mark.parametrize(("age", "outcome"), [(2, None), (21, "internal")])
def test_a_click_keeps_an_attempt_that_may_be_starting(world: World, age: int, outcome: str | None) -> None:
    """The first click has started the workflow, which is not in its wait yet. AWS refuses the second start."""
    user, workflow = world.user(), RecordedWorkflow()
    assert connect(user, WINDOW, LIMIT, world.services(workflow))
    (attempt_id,) = workflow.of("start")
    world.age(age)

    with pytest.raises(WorkflowUnavailable):
        connect(user, WINDOW, LIMIT, world.services(RecordedWorkflow(unavailable={"start"})))

    assert world.attempt(attempt_id)["outcome"] == outcome


def test_a_workflow_whose_start_was_not_confirmed_goes_on(world: World) -> None:
    """AWS has started the execution, but its answer was lost."""
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
    """Postgres is away after AWS has refused the start, so the attempt cannot be ended. AWS's error is reported."""
    user = world.user()

    class Away(Attempts):
        def get(self, attempt_id: UUID) -> Attempt | None:  # noqa: ARG002
            raise DatabaseUnavailable

    away = Away(world.new_database("whatsapp_api"))
    with pytest.raises(WorkflowUnavailable):
        connect(user, WINDOW, LIMIT, world.services(RecordedWorkflow(unavailable={"start"}), away))


def test_a_click_starts_a_workflow_that_was_never_started(world: World) -> None:
    """The call that claimed the attempt died before StartExecution."""
    user, workflow = world.user(), RecordedWorkflow()
    attempt_id = world.claim(user)
    world.age(WINDOW - 31)

    assert not connect(user, WINDOW, LIMIT, world.services(workflow))

    assert workflow.of("start") == [attempt_id]
    assert world.attempt(attempt_id)["outcome"] is None


@pytest.mark.parametrize("left", [29, -1], ids=["29 s left", "window over"])
def test_a_click_starts_no_workflow_that_has_too_little_time(world: World, left: int) -> None:
    """A person needs 30 s to scan. With less time, the attempt would end, and its reason would blame WhatsApp."""
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
