"""The waits of the workflow: what happens when the workflow enters a wait, and when a wait fails."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import Again, Attempt, Phase
from whatsapp_pairing.pairing.attempts import Attempts, Ended
from whatsapp_pairing.pairing.phases import open_phase, settle_phase
from whatsapp_pairing.runtime.workflow import DECIDED
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import WINDOW, World, entered


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


def test_opening_qr_keeps_its_window_and_the_later_phase(world: World) -> None:
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
    """Lambda may deliver the call of the first wait again when the workflow is already in a later wait."""
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
    world.fail(attempt_id)
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


def test_a_wait_whose_outcome_is_known_is_answered_at_once(world: World) -> None:
    shown, refused, cancelled = world.claim(), world.claim(), world.claim()
    world.show(shown, world.lease(shown), Secret())
    world.leases.release(refused, world.lease(refused), Reason.PASSKEY_REQUIRED)
    world.fail(cancelled, Reason.CANCELLED)
    connected = world.link(world.user(), Secret())

    assert opened(world, shown, Phase.QR) == [("succeed", "token")]
    assert opened(world, refused, Phase.QR) == [("fail", "token")]
    assert opened(world, cancelled, Phase.QR) == [("fail", "token")]
    assert opened(world, connected, Phase.AUTH) == [("succeed", "token")]
    assert opened(world, uuid4(), Phase.AUTH) == [("fail", "token")]


@pytest.mark.parametrize("reason", Reason)
def test_an_end_is_recorded_and_gives_up_the_devices(world: World, reason: Reason) -> None:
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


def test_an_end_decided_on_an_old_deadline_changes_nothing(world: World) -> None:
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
    world.fail(attempt_id, Reason.CANCELLED)
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


def test_a_lost_linker_after_the_window_ends_the_attempt(world: World) -> None:
    attempt_id, workflow = world.claim(), RecordedWorkflow()
    world.lease(attempt_id)
    world.age(WINDOW)

    assert settle(world, attempt_id, "States.Timeout", workflow) is Reason.QR_TIMEOUT
    assert settle(world, attempt_id, "States.Timeout", workflow) == "qr_timeout"


def test_settling_unlinks_devices_that_have_keys(world: World) -> None:
    attempt_id, workflow, secret = world.claim(), RecordedWorkflow(), Secret()
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.store_keys(secret, "5215550009:3@s.whatsapp.net")
    world.leases.release(attempt_id, lease, Reason.PAIRING_REJECTED)

    assert settle(world, attempt_id, DECIDED, workflow) is Reason.PAIRING_REJECTED
    assert workflow.of("call_unlinks") == [[world.bound(secret)["id"]]]


def test_settling_a_connected_or_deleted_attempt_changes_nothing(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    connected = world.link(user, Secret())
    before = world.snapshot()

    assert settle(world, connected, "States.HeartbeatTimeout", workflow) == "connected"
    assert settle(world, uuid4(), "States.Timeout", workflow) is Reason.INTERNAL
    assert world.snapshot() == before


def test_settling_writes_the_session_row_of_an_ended_attempt(world: World) -> None:
    """The function that ended the attempt died before it wrote the session row."""
    user, workflow = world.user(), RecordedWorkflow()
    attempt_id = world.claim(user)
    world.show_row(user)
    world.fail(attempt_id)

    assert settle(world, attempt_id, "States.HeartbeatTimeout", workflow) == world.attempt(attempt_id)["outcome"]
    row = world.row(user)
    assert row
    assert row["session_status"] == "error"
    assert not world.value("SELECT behind FROM whatsapp_private.sessions")


def test_settling_decides_again_when_the_attempt_has_changed(world: World) -> None:
    attempt_id = world.claim()
    world.age(WINDOW)

    class Interrupted(Attempts):
        """A repository: once, the linker reports a scan between ``get`` and ``end``."""

        def end(self, attempt: Attempt, reason: Reason) -> Ended | None:
            world.sql("UPDATE whatsapp_private.attempts SET deadline = now() + interval '1 minute'")
            return super().end(attempt, reason)

    interrupted = Interrupted(world.new_database("whatsapp_worker"))
    step = settle_phase(attempt_id, None, world.services(RecordedWorkflow(), interrupted))

    assert isinstance(step, Again)
    assert world.attempt(attempt_id)["outcome"] is None
