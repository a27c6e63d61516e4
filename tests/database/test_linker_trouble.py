"""Postgres, the engine's database or Step Functions is away while a linker works."""

from __future__ import annotations

import pytest
from whatsapp_pairing.core.engine import (
    DatabaseFailed,
    Reached,
    Refused,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import Phase
from whatsapp_pairing.runtime.lease import LEASE_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.linker_scripts import LOGIN, connected
from tests.support.metrics import metrics_in, values
from tests.support.repositories import World
from tests.support.scripted_engine import (
    Stage,
    Step,
    qr,
    reached_qr,
    scan,
)

pytestmark = pytest.mark.usefixtures("no_jitter")


def test_a_store_that_fails_ends_the_attempt_at_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage(world, [1.0, DatabaseFailed("SQLSTATE 28P01")])
    assert stage.link() == Reason.LINKER_FAILED
    assert (stage.started, stage.clock.now) == (["pair"], 1.0)
    assert stage.workflow.calls[-1] == ("fail", "token-qr")
    assert values(metrics_in(capsys.readouterr().out), "EngineStoreFailed") == [1]
    assert stage.settle("Decided") == Reason.LINKER_FAILED


def test_a_store_that_comes_back_does_not_end_the_attempt(world: World, secret: Secret) -> None:
    away: list[list[Step]] = [[0.5, DatabaseFailed("SQLSTATE 53300", passes=True)] for _ in range(3)]
    stage = Stage(
        world, *away, [*reached_qr(secret), *scan(world, secret), DatabaseFailed("57P01", True)], *away, LOGIN
    )
    assert stage.link() == "connected"
    connected(stage, secret)


def test_a_store_that_stays_away_ends_the_attempt_as_our_fault(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(world, *[[0.5, DatabaseFailed("SQLSTATE 53300", passes=True)] for _ in range(200)])
    assert stage.link() == Reason.LINKER_FAILED
    assert 15 <= stage.clock.now < 25
    assert values(metrics_in(capsys.readouterr().out), "EngineStoreFailed") == [1]


@pytest.mark.parametrize("during", ["waiting", "qr", "scan", "online"])
def test_the_database_may_be_away_while_the_lease_lasts(world: World, secret: Secret, during: str) -> None:
    stage = Stage(world)

    def leave() -> None:
        stage.database.away = True
        stage.clock.at(stage.clock.now + 4, come_back)

    def come_back() -> None:
        stage.database.away = False

    where = {name: [leave] if name == during else [] for name in ("waiting", "qr", "scan", "online")}
    stage.scripts.append(
        [
            Reached(),
            *where["qr"],
            qr(secret),
            3.0,
            *where["waiting"],
            4.0,
            *where["scan"],
            *scan(world, secret),
            *where["online"],
            *LOGIN,
        ]
    )
    assert stage.link() == "connected"
    connected(stage, secret)
    assert stage.started == ["pair"]


def test_a_linker_lets_go_when_postgres_is_away_too_long(world: World, secret: Secret) -> None:
    stage = Stage(world, reached_qr(secret))

    def leave() -> None:
        stage.database.away = True

    stage.clock.at(10.0, leave)
    assert stage.link() == "lost"
    assert not stage.open
    assert stage.closed_at[-1] <= 10 + LEASE_SECONDS + 0.5


def test_an_engine_ends_with_its_lease_while_a_call_waits(world: World, secret: Secret) -> None:
    """The driver waits 8 s before it gives up, and the main thread cannot close the engine meanwhile."""
    stage = Stage(world, reached_qr(secret))

    def leave() -> None:
        stage.database.away = True

    stage.database.hang = lambda: stage.clock.sleep(8.0)
    stage.clock.at(10.0, leave)
    assert stage.link() == "lost"
    assert stage.ended_at[-1] < 10 + LEASE_SECONDS
    assert stage.closed_at[-1] > stage.ended_at[-1]


@pytest.mark.parametrize("call", ["succeed", "heartbeat", "call_unlinks"])
def test_a_pairing_goes_on_while_the_workflow_is_away(world: World, secret: Secret, call: str) -> None:
    stage = Stage(world, [*reached_qr(secret), 5.0, *scan(world, secret), *LOGIN])
    stage.workflow.unavailable.add(call)
    assert stage.link() == "connected"
    assert world.sessions.get(stage.user).status is Status.CONNECTED


def test_a_verdict_stands_while_the_workflow_is_away(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), Refused(Reason.PASSKEY_REQUIRED)])
    stage.workflow.unavailable.add("fail")
    assert stage.link() == Reason.PASSKEY_REQUIRED
    assert stage.settle() == Reason.PASSKEY_REQUIRED


def test_a_wait_that_missed_its_answer_gets_it_at_a_renewal(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), 30.0, *scan(world, secret), *LOGIN])
    stage.workflow.unavailable.add("succeed")
    stage.clock.at(15.0, stage.workflow.unavailable.clear)
    stage.clock.at(16.0, lambda: stage.open_wait(Phase.QR))
    assert stage.link() == "connected"
    connected(stage, secret)


def test_a_slow_workflow_does_not_cost_the_lease(world: World, secret: Secret) -> None:
    """Each heartbeat takes seconds. The linker must still renew its lease in time."""
    stage = Stage(world, [*reached_qr(secret), 30.0, *scan(world, secret), *LOGIN])
    leases: list[bool] = []

    def slow(token: str | None) -> bool:
        stage.clock.sleep(5.0)
        leases.append(stage.link() == "not_needed")
        stage.beats.append(stage.clock.now)
        return True

    stage.workflow.heartbeat = slow  # type: ignore[method-assign]
    assert stage.link() == "connected"
    assert all(leases)
