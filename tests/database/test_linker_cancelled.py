"""The user disconnects or is deleted while a linker works."""

from __future__ import annotations

import pytest
from whatsapp_pairing.core.engine import (
    Refused,
    Synced,
    Unreachable,
)
from whatsapp_pairing.core.reasons import Reason

from tests.support.adv_secret import Secret
from tests.support.linker_scripts import LOGIN
from tests.support.repositories import World
from tests.support.scripted_engine import (
    Stage,
    Step,
    online,
    outcome_of,
    qr,
    reached_qr,
    scan,
)

pytestmark = pytest.mark.usefixtures("no_jitter")


@pytest.mark.parametrize("scanned", [False, True])
def test_a_linker_lets_go_of_a_cancelled_attempt_in_a_renewal(world: World, secret: Secret, scanned: bool) -> None:
    stage = Stage(world, [*reached_qr(secret), *(scan(world, secret) if scanned else [])])
    tables = ("whatsapp_private.attempts", "public.whatsapp_sessions")
    seen: list[object] = []
    stage.clock.at(10.0, stage.disconnect)
    stage.clock.at(10.0, lambda: seen.append(world.sessions.get(stage.user)))

    assert stage.link() == "lost"

    assert stage.clock.now <= 13
    assert not stage.open
    assert seen == [world.sessions.get(stage.user)]
    assert outcome_of(world, stage.attempt_id) == "cancelled"
    assert world.snapshot(*tables)
    if scanned:
        assert world.bound(secret)["id"] in stage.workflow.of("call_unlinks")[0]


@pytest.mark.parametrize("moment", [60.0, 61.0, 62.0, 63.0, 64.0])
def test_a_linker_between_engines_lets_go_of_a_cancelled_attempt(world: World, moment: float) -> None:
    stage = Stage(world, *[[0.05, Unreachable()] for _ in range(100)])
    stage.clock.at(moment, stage.disconnect)
    assert stage.link() == "lost"
    assert stage.clock.now <= moment + 3.1


def test_a_device_scanned_at_the_moment_of_cancel_is_unlinked(world: World, secret: Secret) -> None:
    stage = Stage(world)
    stage.scripts.append([*reached_qr(secret), 3.0, stage.disconnect, *scan(world, secret), *LOGIN])
    assert stage.link() == "lost"
    assert stage.workflow.of("call_unlinks") == [[], [world.bound(secret)["id"]]]
    assert world.bound(secret)["state"] == "unlinking"


@pytest.mark.parametrize("event", ["qr", "online", "refused"])
def test_no_event_of_a_cancelled_attempt_is_written(world: World, secret: Secret, event: str) -> None:
    last: dict[str, list[Step]] = {
        "qr": [qr(secret, 2)],
        "online": [*scan(world, secret), online(), Synced()],
        "refused": [Refused(Reason.ACCOUNT_BANNED)],
    }
    stage = Stage(world)
    seen: list[object] = []
    stage.scripts.append(
        [*reached_qr(secret), 3.0, stage.disconnect, lambda: seen.append(world.sessions.get(stage.user)), *last[event]]
    )
    assert stage.link() == "lost"
    assert seen == [world.sessions.get(stage.user)]
    assert stage.workflow.of("fail") == ["token-auth"]  # the disconnect has sent it


def test_a_linker_lets_go_of_a_deleted_user_s_attempt(world: World, secret: Secret) -> None:
    stage = Stage(world, reached_qr(secret))
    stage.clock.at(10.0, lambda: world.sql("DELETE FROM auth.users"))
    assert stage.link() == "lost"
