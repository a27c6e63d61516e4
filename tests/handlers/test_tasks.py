"""The workflow's tasks, the linker, unlink and cleanup."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.core.engine import (
    DatabaseFailed,
    Died,
    Event,
    LoggedOut,
    Online,
    Qr,
    Reached,
    Refused,
    Scanned,
    Synced,
    Unreachable,
)
from whatsapp_pairing.core.errors import (
    DeviceBusy,
    EngineDatabaseFailed,
    InvalidPayload,
    UnlinkFailed,
    WorkflowUnavailable,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import Phase
from whatsapp_pairing.runtime.settings import settings
from whatsapp_pairing.runtime.workflow import DECIDED

from tests.support.handlers import Aws, Call, Context, event
from tests.support.metrics import metrics_in, values
from tests.support.played_engine import Played
from tests.support.world import Secret

JID = "5215550001:7@s.whatsapp.net"
App = Callable[[str], ModuleType]


def task(name: str, **fields: object) -> Any:
    """A recorded payload with these fields changed."""
    return event(name) | {key: str(value) for key, value in fields.items()}


@pytest.mark.parametrize("name", ["open_phase", "finish_pairing", "linker", "unlink"])
@pytest.mark.parametrize("happened", [{}, [], None, {"attemptId": "x", "deviceId": "x"}], ids=str)
def test_an_event_of_another_shape_is_refused_by_name(call: Call, name: str, happened: Any) -> None:
    with pytest.raises(InvalidPayload):
        call(name, happened)


# ── open_phase ──


def test_open_phase_keeps_the_token_and_starts_a_linker(call: Call, aws: Aws, world: Any) -> None:
    attempt_id = world.claim()
    assert call("open_phase", task("open_phase", attemptId=attempt_id)) is None
    assert world.attempt(attempt_id)["task_token"] == event("open_phase")["taskToken"]
    assert aws.invocations == [("linker", "Event", {"attemptId": str(attempt_id)})]


def test_open_phase_auth_starts_the_window_of_its_setting(call: Call, aws: Aws, world: Any) -> None:
    attempt_id = world.claim()
    world.lease(attempt_id)
    call("open_phase", task("open_phase", attemptId=attempt_id, phase="auth"))
    attempt = world.attempts.get(attempt_id)
    assert attempt.phase is Phase.AUTH
    assert 85 < attempt.remaining <= 90
    assert aws.invocations == []


def test_open_phase_that_cannot_start_a_linker_fails_so_that_the_workflow_knows(
    app: App, world: Any, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    with pytest.raises(WorkflowUnavailable):
        app("open_phase").handler(task("open_phase", attemptId=world.claim()), Context())


# ── finish_pairing ──


def test_a_lost_linker_gets_another_for_the_rest_of_the_window(call: Call, world: Any) -> None:
    attempt_id = world.claim()
    world.age(100)
    answer = call("finish_pairing", task("finish_pairing", attemptId=attempt_id))
    assert answer["next"] == "qr"
    assert 18 <= answer["seconds"] <= 20
    assert (answer["heartbeat"], answer["pause"]) == (10, 0)
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize("error", ["WorkflowUnavailable", "Sandbox.Timedout", "Lambda.TooManyRequestsException"])
def test_a_wait_that_failed_at_once_is_entered_again_after_a_pause(call: Call, world: Any, error: str) -> None:
    event = task("finish_pairing", attemptId=world.claim(), error=error)
    answer = call("finish_pairing", event)
    assert (answer["next"], answer["pause"]) == ("qr", 2)
    assert answer["seconds"] + answer["pause"] <= 120


@pytest.mark.parametrize("error", ["States.Timeout", "States.HeartbeatTimeout"])
def test_a_lost_linker_is_replaced_without_a_pause(call: Call, world: Any, error: str) -> None:
    assert call("finish_pairing", task("finish_pairing", attemptId=world.claim(), error=error))["pause"] == 0


def test_a_window_that_is_over_ends_the_attempt(call: Call, world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    attempt_id = world.claim()
    world.lease(attempt_id)
    world.age(130)
    answer = call("finish_pairing", task("finish_pairing", attemptId=attempt_id))
    assert answer == {"next": "qr_timeout", "seconds": 0, "heartbeat": 0, "pause": 0}
    assert world.attempt(attempt_id)["outcome"] == "qr_timeout"
    assert values(metrics_in(capsys.readouterr().out), "PairingEnded", outcome="qr_timeout") == [1]


# These verdicts do not count when a phone has scanned.
NOT_SCANNED = (Reason.QR_TIMEOUT, Reason.SCAN_TIMEOUT, Reason.SCAN_NOT_REPEATED)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in NOT_SCANNED])
def test_every_verdict_ends_it_and_unlinks_what_was_scanned(call: Call, aws: Aws, world: Any, reason: Reason) -> None:
    attempt_id, secret = world.claim(), Secret()
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.store_keys(secret, JID)
    world.leases.release(attempt_id, lease, reason)
    answer = call("finish_pairing", task("finish_pairing", attemptId=attempt_id, error=DECIDED))
    assert answer["next"] == reason
    assert aws.invocations == [("unlink", "Event", {"deviceId": str(world.bound(secret)["id"])})]


def test_a_connected_or_forgotten_attempt_is_only_reported(call: Call, world: Any, user: UUID) -> None:
    attempt_id = world.link(user, Secret())
    assert call("finish_pairing", task("finish_pairing", attemptId=attempt_id))["next"] == "connected"
    assert call("finish_pairing", task("finish_pairing", attemptId=uuid4()))["next"] == "internal"


# ── linker ──


def test_the_linker_pairs_and_says_nothing_secret(
    app: App, world: Any, user: UUID, environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    attempt_id, secret, linker = world.claim(user), Secret(), app("linker")
    played = Played(
        Reached(), Qr(secret.text(), 60), lambda: world.store_keys(secret, JID), Scanned(JID), Synced(),
        Online(JID),
    )  # fmt: skip
    environment.setattr(linker, "ProcessEngine", played)
    caplog.set_level("DEBUG")

    assert linker.handler(task("linker", attemptId=attempt_id), Context()) == {"outcome": "connected"}

    assert (played.asked, played.closed) == (["pair"], 1)
    assert world.attempt(attempt_id)["outcome"] == "connected"
    written = caplog.text + "".join(capsys.readouterr()) + repr([record.__dict__ for record in caplog.records])
    assert "engine event" in written
    for hidden in (secret.text(), secret.text().rpartition(",")[0], JID, "5215550001"):
        assert hidden not in written


def test_a_linker_that_nobody_needs(app: App, environment: pytest.MonkeyPatch) -> None:
    linker, played = app("linker"), Played()
    environment.setattr(linker, "ProcessEngine", played)
    assert linker.handler(event("linker"), Context()) == {"outcome": "not_needed"}
    assert played.asked == []


# ── unlink ──


@pytest.fixture
def unlinking(world: Any, user: UUID) -> tuple[UUID, Secret]:
    """A device that was linked and has been disconnected."""
    secret = Secret()
    world.link(user, secret, JID)
    (device_id,) = world.attempts.disconnect(user).devices
    return device_id, secret


def unlink(app: App, environment: pytest.MonkeyPatch, played: Played, device_id: UUID) -> None:
    module = app("unlink")
    environment.setattr(module, "ProcessEngine", played)
    module.handler(task("unlink", deviceId=device_id), Context())


def test_unlink_removes_the_device_at_whatsapp_and_then_its_keys(
    app: App, world: Any, unlinking: tuple[UUID, Secret], environment: pytest.MonkeyPatch
) -> None:
    device_id, secret = unlinking
    played = Played(Reached(), lambda: world.drop_keys(JID), LoggedOut())

    unlink(app, environment, played, device_id)

    assert (played.asked, played.closed) == ([f"log out {JID}"], 1)
    assert world.device(secret) is None
    assert not world.has_keys(secret)
    assert world.value("SELECT count(*) FROM whatsapp_engine.whatsmeow_lid_map") == 0
    again = Played()
    unlink(app, environment, again, device_id)
    assert again.asked == []


@pytest.mark.parametrize("last", [Died("boom"), Unreachable(), Refused(Reason.CLIENT_OUTDATED)], ids=str)
def test_unlink_that_whatsapp_did_not_confirm_keeps_the_keys_and_fails(
    app: App, world: Any, unlinking: tuple[UUID, Secret], environment: pytest.MonkeyPatch, last: Event
) -> None:
    device_id, secret = unlinking
    played = Played(Reached(), last)
    with pytest.raises(UnlinkFailed):
        unlink(app, environment, played, device_id)
    assert played.closed == 1
    assert world.has_keys(secret)
    assert world.bound(secret)["lease_id"] is None
    unlink(app, environment, Played(LoggedOut()), device_id)
    assert not world.has_keys(secret)


@pytest.mark.parametrize(("passes", "counted"), [(False, [1]), (True, [])], ids=["for good", "passing"])
def test_unlink_without_a_store_does_not_blame_whatsapp(
    app: App, world: Any, unlinking: tuple[UUID, Secret], environment: pytest.MonkeyPatch, passes: bool,
    counted: list[float], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    device_id, secret = unlinking
    with pytest.raises(EngineDatabaseFailed, match="WhatsApp was not asked"):
        unlink(app, environment, Played(DatabaseFailed("SQLSTATE 28P01", passes)), device_id)
    assert values(metrics_in(capsys.readouterr().out), "EngineStoreFailed") == counted
    assert world.has_keys(secret)
    assert world.bound(secret)["lease_id"] is None


def test_unlink_without_keys_asks_nobody(
    app: App, world: Any, unlinking: tuple[UUID, Secret], environment: pytest.MonkeyPatch
) -> None:
    device_id, secret = unlinking
    world.drop_keys(JID)
    played = Played()
    unlink(app, environment, played, device_id)
    assert played.asked == []
    assert world.device(secret) is None


def test_unlink_never_touches_a_linked_device(
    app: App, world: Any, user: UUID, environment: pytest.MonkeyPatch
) -> None:
    secret, played = Secret(), Played()
    world.link(user, secret, JID)
    unlink(app, environment, played, world.bound(secret)["id"])
    assert played.asked == []
    assert world.has_keys(secret)


def test_unlink_that_loses_its_lease_stops(
    app: App, world: Any, unlinking: tuple[UUID, Secret], environment: pytest.MonkeyPatch
) -> None:
    device_id, secret = unlinking
    taken = "UPDATE whatsapp_private.devices SET lease_id = gen_random_uuid()"
    played = Played(Reached(), lambda: world.sql(taken), LoggedOut())
    with pytest.raises(UnlinkFailed):
        unlink(app, environment, played, device_id)
    assert world.has_keys(secret)
    assert len(played.steps) == 1  # what the engine said later was not waited for


def test_unlink_waits_for_a_linker_to_let_go_but_not_for_ever(
    world: Any, unlinking: tuple[UUID, Secret], environment: pytest.MonkeyPatch
) -> None:
    from whatsapp_pairing.keeper.unlink import PATIENCE_SECONDS
    from whatsapp_pairing.keeper.unlink import unlink as use_case

    device_id, secret = unlinking
    world.devices.take(device_id, uuid4())
    now = [0.0]

    def clock() -> float:
        return now[0]

    def stubborn(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(DeviceBusy):
        use_case(device_id, world.devices, Played(), clock, stubborn)
    assert PATIENCE_SECONDS <= now[0] < PATIENCE_SECONDS + 1

    def patient(seconds: float) -> None:
        now[0] += seconds
        world.age(seconds)

    use_case(device_id, world.devices, Played(LoggedOut()), clock, patient)
    assert not world.has_keys(secret)


# ── probe ──


@pytest.mark.parametrize(
    ("said", "failure", "value"),
    [
        ([Reached(), Qr(Secret().text(), 60)], None, 1),
        ([Reached(), Refused(Reason.CLIENT_OUTDATED)], "client_outdated", 0),
    ],
)
def test_the_probe_says_how_it_went(
    app: App, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: list[Event],
    failure: str | None, value: int,
) -> None:  # fmt: skip
    module, played = app("probe"), Played(*said)
    environment.setattr(module, "ProcessEngine", lambda: played)
    environment.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    answer = module.handler(event("cleanup"), Context())
    assert json.loads(json.dumps(answer))["failure"] == failure
    assert (played.asked, played.closed) == (["pair"], 1)
    assert values(metrics_in(capsys.readouterr().out), "ProbeQr") == [value]


# ── cleanup ──


def test_cleanup_ends_what_is_lost_and_says_how_much(call: Call, aws: Aws, world: Any, user: UUID) -> None:
    lost, secret = world.claim(user), Secret()
    world.show(lost, world.lease(lost), secret)
    world.store_keys(secret, JID)
    world.age(1000)

    swept = call("cleanup", event("cleanup"))
    assert {name: count for name, count in swept.items() if count} == {"attempts_ended": 1, "unlinks_started": 1}
    unlink = ("unlink", "Event", {"deviceId": str(world.bound(secret)["id"])})
    assert aws.invocations == [unlink]
    world.age(241)
    assert call("cleanup", event("cleanup"))["unlinks_started"] == 1
    assert aws.invocations == [unlink, unlink]


def test_a_dry_run_says_how_much_there_is_and_changes_nothing(call: Call, aws: Aws, world: Any, user: UUID) -> None:
    lost, secret = world.claim(user), Secret()
    world.show(lost, world.lease(lost), secret)
    world.age(1000)
    before = world.snapshot()

    counted = call("cleanup", {"dryRun": True})
    assert {name: count for name, count in counted.items() if count} == {"attempts_ended": 1}

    assert world.snapshot() == before
    assert aws.invocations == []


@pytest.mark.parametrize("wish", [{"dryrun": True}, {"dry_run": True}, {"dryRun": "true"}, {"dryRun": None}])
def test_a_misspelled_dry_run_cleans_nothing(call: Call, world: Any, user: UUID, wish: dict[str, object]) -> None:
    world.claim(user)
    world.age(1000)
    before = world.snapshot()
    with pytest.raises(InvalidPayload, match="Clean: wrong or missing: dry"):
        call("cleanup", wish)
    assert world.snapshot() == before


def test_cleanup_goes_on_when_lambda_is_away(
    call: Call, world: Any, user: UUID, environment: pytest.MonkeyPatch
) -> None:
    lost, secret = world.claim(user), Secret()
    world.show(lost, world.lease(lost), secret)
    world.store_keys(secret, JID)
    world.age(1000)
    environment.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    environment.setattr(random, "random", lambda: 0.0)  # botocore's own pauses
    settings.cache_clear()
    assert call("cleanup", event("cleanup"))["attempts_ended"] == 1
