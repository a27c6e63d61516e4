"""Each event of an attempt is counted once, with the times of the database, by the function that causes it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from whatsapp_pairing.cleanup import Cleaning
from whatsapp_pairing.core.engine import Reached, Refused, Synced
from whatsapp_pairing.core.errors import TooSoon, WorkflowUnavailable
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.pairing.disconnect import disconnect
from whatsapp_pairing.pairing.ending import end
from whatsapp_pairing.runtime.lease import LEASE_SECONDS

from tests.support.adv_secret import Secret
from tests.support.metrics import Metric, metrics_in, values
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, OVERDUE_SECONDS, WINDOW, World
from tests.support.scripted_engine import KilledError, Stage, Step, online, qr, reached_qr, scan

# Seconds of a script take no time, but the statements between them take a little.
SLOW_MACHINE_MS = 5000
LOGIN: list[Step] = [Reached(), 0.5, online(), 0.5, Synced()]


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[Metric]]:
    """Returns the metrics since its last call."""
    return lambda: metrics_in(capsys.readouterr().out)


Counted = Callable[[], list[Metric]]


def ends(metrics: list[Metric]) -> list[str | None]:
    """The outcomes that were counted. Each must also be in the metric without an outcome."""
    outcomes = [metric.of("outcome") for metric in metrics if metric.name == "PairingEnded"]
    assert outcomes.count(None) == len(outcomes) / 2 == len(values(metrics, "LinkersPerPairing"))
    return [outcome for outcome in outcomes if outcome]


def about(seconds: float) -> object:
    return pytest.approx(seconds * 1000 + SLOW_MACHINE_MS / 2, abs=SLOW_MACHINE_MS / 2)


# ── before the end ──


def test_a_good_pairing_is_counted_once_with_its_times(world: World, counted: Counted) -> None:
    secret = Secret()
    script = [Reached(), 90.0, qr(secret), 60.0, qr(secret, 2), 40.0, *scan(world, secret), 2.0, online(), 1.0]
    stage = Stage(world, [*script, Synced()])
    assert stage.link() == "connected"

    metrics = counted()
    assert {metric.name for metric in metrics} == {
        "TimeToQr", "TimeToConnected", "ScanToConnected", "PairingEnded", "LinkersPerPairing",
    }  # fmt: skip
    assert values(metrics, "TimeToQr") == [about(90)]
    assert values(metrics, "TimeToConnected") == [about(193)]
    assert values(metrics, "ScanToConnected") == [about(3)]
    assert values(metrics, "LinkersPerPairing") == [1]
    assert ends(metrics) == ["connected"]


def test_a_replaced_linker_is_counted_and_keeps_the_times(world: World, counted: Counted) -> None:
    secret = Secret()
    stage = Stage(world, [Reached(), 30.0, qr(Secret()), KilledError()])
    with pytest.raises(KilledError):
        stage.link()
    first = counted()
    assert values(first, "TimeToQr") == [about(30)]
    assert values(first, "LinkerReplaced") == []

    stage.clock.sleep(LEASE_SECONDS + 1)
    stage.scripts.append([Reached(), 10.0, qr(secret), 5.0, *scan(world, secret), KilledError()])
    with pytest.raises(KilledError):
        stage.link()
    second = counted()
    assert values(second, "LinkerReplaced") == [1]
    assert values(second, "TimeToQr") == []

    stage.clock.sleep(LEASE_SECONDS + 1)
    stage.scripts.append(LOGIN)
    assert stage.link() == "connected"
    third = counted()
    assert values(third, "LinkerReplaced") == [1]
    assert values(third, "LinkersPerPairing") == [3]
    assert values(third, "ScanToConnected") == [about(LEASE_SECONDS + 1 + 1)]


def test_a_linker_that_is_not_needed_counts_nothing(world: World, counted: Counted) -> None:
    stage = Stage(world, [*reached_qr(Secret()), KilledError()])
    with pytest.raises(KilledError):
        stage.link()
    counted()
    assert stage.link() == "not_needed"
    assert counted() == []


def test_a_click_whose_workflow_does_not_start_is_counted_once(world: World, counted: Counted) -> None:
    user = world.user()
    with pytest.raises(WorkflowUnavailable):
        connect(user, WINDOW, LIMIT, world.services(RecordedWorkflow({"start"})))
    metrics = counted()
    assert values(metrics, "PairingStarted") == [1]
    assert values(metrics, "PairingEnded", outcome="internal") == [1]


# ── ends ──


def overdue(world: World) -> Stage:
    """Make an attempt whose workflow and linker are gone."""
    stage = Stage(world)
    world.lease(stage.attempt_id)
    world.age(WINDOW + OVERDUE_SECONDS + 1)
    return stage


def settled(world: World) -> Stage:
    stage = overdue(world)
    stage.settle()
    return stage


def refused(world: World) -> Stage:
    stage = Stage(world, [*reached_qr(Secret()), Refused(Reason.CLIENT_OUTDATED)])
    assert stage.link() == Reason.CLIENT_OUTDATED
    stage.settle(Reason.CLIENT_OUTDATED)
    return stage


def cancelled(world: World) -> Stage:
    stage = Stage(world, reached_qr(Secret()))
    stage.clock.at(10.0, stage.disconnect)
    assert stage.link() == "lost"
    return stage


def cancelled_before_its_linker(world: World) -> Stage:
    stage = Stage(world)
    stage.disconnect()
    return stage


def swept(world: World) -> Stage:
    stage = overdue(world)
    Cleaning(world.services(stage.workflow), world.sweeps, lambda: 120.0).run()
    return stage


def clicked_again(world: World) -> Stage:
    stage = overdue(world)
    assert connect(stage.user, WINDOW, LIMIT, world.services(stage.workflow))
    return stage


def linked(world: World) -> Stage:
    secret = Secret()
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret), *LOGIN])
    assert stage.link() == "connected"
    return stage


@pytest.mark.parametrize(
    ("ended", "outcome", "linkers"),
    [
        (settled, "qr_timeout", 1),
        (refused, "client_outdated", 1),
        (cancelled, "cancelled", 1),
        (cancelled_before_its_linker, "cancelled", 0),
        (swept, "qr_timeout", 1),
        (clicked_again, "qr_timeout", 1),
        (linked, "connected", 1),
    ],
)
def test_an_end_is_counted_once_for_each_way_to_end(
    world: World, counted: Counted, ended: Callable[[World], Stage], outcome: str, linkers: int
) -> None:
    stage = ended(world)
    metrics = counted()
    assert ends(metrics) == [outcome]
    assert values(metrics, "LinkersPerPairing") == [linkers]

    stage.settle()
    Cleaning(world.services(stage.workflow), world.sweeps, lambda: 120.0).run()
    assert stage.link() == "not_needed"
    if ended is not clicked_again:
        disconnect(stage.user, world.services(stage.workflow))
    assert [metric for metric in counted() if metric.name != "CleanupLeft"] == []


def test_of_two_ends_at_once_one_is_counted(world: World, counted: Counted) -> None:
    stage = overdue(world)
    seen = world.attempts.get(stage.attempt_id)
    assert seen is not None
    assert end(seen, Reason.QR_TIMEOUT, world.services(RecordedWorkflow())) is not None
    assert end(seen, Reason.LINKER_FAILED, world.services(RecordedWorkflow())) is None
    assert ends(counted()) == ["qr_timeout"]


def test_the_pause_between_two_attempts_counts_nothing(world: World, counted: Counted) -> None:
    stage = cancelled_before_its_linker(world)
    counted()
    with pytest.raises(TooSoon):
        connect(stage.user, WINDOW, LIMIT, world.services(stage.workflow))
    assert counted() == []


def test_an_attempt_whose_user_is_gone_is_not_counted(world: World, counted: Counted) -> None:
    stage = Stage(world)
    stage.attempt_id = uuid4()
    assert stage.settle() == Reason.INTERNAL
    assert counted() == []
