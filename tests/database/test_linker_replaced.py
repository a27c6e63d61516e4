"""A linker dies or hangs, and another one takes over. The person may have scanned the QR of the first."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from whatsapp_pairing.core.engine import (
    Reached,
    Synced,
)
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import Attempt, Phase
from whatsapp_pairing.runtime.lease import LEASE_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.linker_scripts import LOGIN, RESUME, connected
from tests.support.repositories import WINDOW, World
from tests.support.scripted_engine import (
    JID,
    KilledError,
    Stage,
    Step,
    online,
    reached_qr,
    scan,
)

pytestmark = pytest.mark.usefixtures("no_jitter")


@pytest.mark.parametrize("step", ["dialling", "shown", "stored", "scanned", "online"])
def test_a_killed_linker_is_replaced_when_its_lease_is_over(world: World, secret: Secret, step: str) -> None:
    steps: dict[str, list[Step]] = {
        "dialling": [],
        "shown": reached_qr(Secret()),
        "stored": [*reached_qr(secret), *scan(world, secret)[:1]],
        "scanned": [*reached_qr(secret), *scan(world, secret)],
        "online": [*reached_qr(secret), *scan(world, secret), online()],
    }
    stage = Stage(world, [*steps[step], KilledError()])
    with pytest.raises(KilledError):
        stage.link()
    assert stage.link() == "not_needed"
    stage.clock.sleep(LEASE_SECONDS + 1)

    fresh = step in ("dialling", "shown")
    stage.scripts.append([*reached_qr(secret), *scan(world, secret), *LOGIN] if fresh else LOGIN)
    assert stage.link() == "connected"

    assert stage.started == (["pair", "pair"] if fresh else ["pair", RESUME])
    assert world.bound(secret)["state"] == "linked"


def test_a_linker_that_fails_frees_its_lease_at_once(world: World, secret: Secret) -> None:
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret), OSError("no more processes")], LOGIN)
    with pytest.raises(OSError, match="no more processes"):
        stage.link()
    assert stage.link() == "connected"
    assert stage.started == ["pair", RESUME]


EARLIER = "5215550009:8@s.whatsapp.net"


def earlier_linker(stage: Stage) -> Secret:
    """Let a linker show a QR and hang until its lease is over. Its engine runs on. Return the QR's secret."""
    secret = Secret()
    stage.world.show(stage.attempt_id, stage.world.lease(stage.attempt_id), secret)
    stage.clock.sleep(LEASE_SECONDS + 1)
    return secret


def test_a_device_that_an_earlier_engine_has_stored_is_resumed(world: World, secret: Secret) -> None:
    login: list[Step] = [Reached(), 0.3, online(EARLIER), 0.5, Synced()]
    stage = Stage(world, [*reached_qr(secret), 200.0], login)
    earlier = earlier_linker(stage)
    stage.clock.at(stage.clock.now + 20, lambda: world.store_keys(earlier, EARLIER))

    assert stage.link() == "connected"

    assert stage.started == ["pair", f"resume {EARLIER}"]
    assert stage.clock.now < 20 + 20, "the next renewal must notice the keys"
    assert world.sessions.get(stage.user).status is Status.CONNECTED
    assert (world.bound(earlier)["state"], world.bound(secret)["state"]) == ("linked", "unlinking")


def test_a_scan_of_an_earlier_qr_in_the_last_moment_is_resumed(world: World, secret: Secret) -> None:
    """The window ends between two renewals. The linker renews once more before it reports that no phone has scanned."""
    login: list[Step] = [Reached(), 0.3, online(EARLIER), 0.5, Synced()]
    stage = Stage(world, [*reached_qr(secret), 200.0], login)
    earlier = earlier_linker(stage)
    stage.open_wait(Phase.AUTH)
    renew = stage.leases.renew

    def scan_before_the_last_look(attempt_id: UUID, lease: UUID, *arguments: Any, **named: Any) -> Attempt | None:
        read = world.attempts.get(attempt_id)
        if read and read.remaining <= 0 and read.stored_jid is None:
            world.store_keys(earlier, EARLIER)
        return renew(attempt_id, lease, *arguments, **named)

    stage.leases.renew = scan_before_the_last_look  # type: ignore[method-assign]

    assert stage.link() == "connected"

    assert world.bound(earlier)["state"] == "linked"


def test_a_scan_whose_event_is_late_keeps_its_engine(world: World, secret: Secret) -> None:
    """whatsmeow stores the keys before it reports the scan, and a renewal may come in between."""
    stage = Stage(world, [*reached_qr(secret), lambda: world.store_keys(secret, JID), 6.0, *LOGIN])

    assert stage.link() == "connected"

    assert stage.started == ["pair"]
    connected(stage, secret)


def test_two_scanned_devices_leave_one_linked_and_one_unlinked(world: World, secret: Secret) -> None:
    """The person scans the QR of both linkers. The unlink of the device that is not linked starts at once."""
    stage = Stage(world, [*reached_qr(secret), *scan(world, secret), *LOGIN])
    earlier = earlier_linker(stage)
    stage.clock.at(stage.clock.now + 0.2, lambda: world.store_keys(earlier, EARLIER))

    assert stage.link() == "connected"

    assert world.bound(secret)["state"] == "linked"
    assert world.bound(earlier)["state"] == "unlinking"
    assert stage.workflow.calls[-1] == ("call_unlinks", [world.bound(earlier)["id"]])


def test_an_attempt_with_stored_keys_never_ends_as_not_scanned(world: World) -> None:
    """A phone scans when all linkers are gone. Then the workflow settles."""
    stage = Stage(world)
    earlier = earlier_linker(stage)
    stage.open_wait(Phase.AUTH)
    stage.clock.sleep(WINDOW + 1)
    read = world.attempts.get(stage.attempt_id)
    assert read
    world.store_keys(earlier, EARLIER)

    assert world.attempts.end(read, Reason.SCAN_TIMEOUT) is None, "the attempt has changed since it was read"
    assert stage.settle() == Reason.LINKER_FAILED

    assert stage.workflow.of("call_unlinks")[-1] == [world.bound(earlier)["id"]]


def test_an_end_does_not_overwrite_a_verdict_that_came_meanwhile(world: World) -> None:
    stage = Stage(world)
    lease = world.lease(stage.attempt_id)
    read = world.attempts.get(stage.attempt_id)
    assert read
    world.leases.release(stage.attempt_id, lease, Reason.ACCOUNT_BANNED)

    assert world.attempts.end(read, Reason.QR_TIMEOUT) is None
    assert stage.settle() == Reason.ACCOUNT_BANNED
