"""The unlink function, with an engine whose events the test chooses."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.core.engine import (
    DatabaseFailed,
    Died,
    Event,
    LoggedOut,
    Reached,
    Refused,
    Unreachable,
)
from whatsapp_pairing.core.errors import (
    DeviceBusy,
    EngineDatabaseFailed,
    UnlinkFailed,
)
from whatsapp_pairing.core.reasons import Reason

from tests.support.adv_secret import Secret
from tests.support.handlers import App, Context, task
from tests.support.metrics import metrics_in, values
from tests.support.played_engine import Played
from tests.support.repositories import JID


def unlink(app: App, environment: pytest.MonkeyPatch, played: Played, device_id: UUID) -> None:
    module = app("unlink")
    environment.setattr(module, "ProcessEngine", played)
    module.handler(task("unlink", deviceId=device_id), Context())


@pytest.fixture
def unlinking(world: Any, user: UUID) -> tuple[UUID, Secret]:
    """A device whose user has disconnected: the binding's id and the adv secret."""
    secret = Secret()
    world.link(user, secret, JID)
    (device_id,) = world.attempts.disconnect(user).devices
    return device_id, secret


def test_unlink_logs_the_device_out_before_it_deletes_the_keys(
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
def test_an_unlink_without_whatsapp_s_answer_keeps_the_keys(
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


def test_unlink_of_a_device_without_keys_starts_no_engine(
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
    assert len(played.steps) == 1  # the function did not wait for the later events


def test_unlink_waits_a_limited_time_for_a_linker_to_let_go(
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
