"""A linker meets random events in any order."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whatsapp_pairing.core.engine import (
    DatabaseFailed,
    Died,
    Exhausted,
    LoggedOut,
    Online,
    Reached,
    Refused,
    Replaced,
    Synced,
    Unreachable,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import AFTER_SCAN_SECONDS, HANDOVER_SECONDS, HEARTBEAT_SECONDS

from tests.support.adv_secret import Secret
from tests.support.repositories import WINDOW, World
from tests.support.scripted_engine import (
    Stage,
    Step,
    online,
    qr,
    removed,
    scan,
)

pytestmark = pytest.mark.usefixtures("no_jitter")

SCAN, ONLINE = "scan", "scan and log in"  # the engine's own device is scanned

PIECES: list[Step | str] = [
    "qr", SCAN, ONLINE, Reached(), 0.5, 7.0, 45.0, Exhausted(), Replaced(), Unreachable(), Died("boom"), Synced(),
    Refused(Reason.PASSKEY_REQUIRED), DatabaseFailed("28P01"), DatabaseFailed("53300", passes=True),
]  # fmt: skip

LOGINS: list[list[Step]] = [
    [], [Reached()], [online()], [Synced(), online()], [LoggedOut()], [online(), 2.0, LoggedOut()], [Died("boom")],
    [Replaced()], [Unreachable()], [Refused(Reason.ACCOUNT_BANNED)],
]  # fmt: skip


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), cancelled_at=st.none() | st.floats(0, 130))
def test_a_linker_ends_in_time_and_leaves_no_orphan(
    world: World, data: st.DataObject, cancelled_at: float | None
) -> None:
    world.empty()
    stage = Stage(world)
    numbers = iter(range(1, 10_000))

    class Chance(list[list[Step]]):
        """Draws a script for each engine: one for pairing, or one for resuming a device."""

        def pop(self, *_: object) -> list[Step]:
            if stage.started[-1] != "pair":
                jid = stage.started[-1].removeprefix("resume ")
                drawn = data.draw(st.sampled_from(LOGINS))
                login = [online(jid) if isinstance(step, Online) else step for step in drawn]
                return [
                    removed(world, jid)[0] if isinstance(step, LoggedOut) and half == 0 else step
                    for step in login
                    for half in ([0, 1] if isinstance(step, LoggedOut) else [1])
                ]
            secret, jid = Secret(), f"{next(numbers)}:1@s.whatsapp.net"
            steps: list[Step] = []
            for piece in data.draw(st.lists(st.sampled_from(PIECES), max_size=5, unique_by=str)):
                match piece:
                    case "qr":
                        steps.append(qr(secret))
                    case str():
                        steps += [qr(secret), *scan(world, secret, jid)]
                        steps += [online(jid), Synced()] if piece == ONLINE else []
                        return steps
                    case _:
                        steps.append(piece)
            return steps

        def __bool__(self) -> bool:
            return True

    stage.scripts = Chance()
    if cancelled_at is not None:
        stage.clock.at(cancelled_at, stage.disconnect)

    outcome = stage.link()

    assert outcome in {"connected", "lost", *Reason}
    assert stage.clock.now < 2 * WINDOW + AFTER_SCAN_SECONDS + HANDOVER_SECONDS + 20
    assert stage.longest_silence() < HEARTBEAT_SECONDS
    assert not stage.open
    ended = world.attempt(stage.attempt_id)
    assert ended["lease_expires_at"] is None
    assert outcome in {"connected": {"connected"}}.get(ended["outcome"], {"lost", *Reason})
    if ended["outcome"] is None:
        assert stage.settle() == outcome
    orphans = world.sql(
        "SELECT FROM whatsapp_engine.whatsmeow_device e WHERE NOT EXISTS (SELECT FROM whatsapp_private.devices d "
        "WHERE d.fingerprint = sha256(e.adv_key) AND d.state IN ('linked', 'unlinking'))"
    )
    assert orphans == []
