"""A linker holds the lease of its attempt. Without the lease it writes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.keeper.devices import Devices
from whatsapp_pairing.pairing.attempt import Phase
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.runtime.lease import LEASE_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.repositories import World
from tests.support.shown_pairing import JID, ShownPairing, not_none
from tests.support.stack import PATIENCE_SECONDS

# ── the lease ──


def test_one_of_ten_linkers_at_once_gets_the_lease(world: World) -> None:
    attempt_id, start = world.claim(), threading.Barrier(10)
    databases = [world.new_database("whatsapp_worker") for _ in range(10)]

    def take(number: int) -> bool:
        leases = Leases(databases[number])
        leases.renew(attempt_id, uuid4())  # log in before the race, so that only ``take`` is in it
        start.wait(PATIENCE_SECONDS)
        return leases.take(attempt_id, uuid4()) is not None

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(take, range(10))) == 1
    assert world.attempt(attempt_id)["legs"] == 1


def test_a_repeated_take_of_a_lease_counts_one_linker(world: World) -> None:
    """A linker repeats the call when its first answer was lost."""
    attempt_id, lease = world.claim(), uuid4()
    for _ in range(2):
        assert not_none(world.leases.take(attempt_id, lease)).linkers == 1


def test_an_expired_lease_passes_to_the_next_linker(pairing: ShownPairing) -> None:
    world = pairing.world
    world.age(LEASE_SECONDS - 2)
    assert world.leases.take(pairing.attempt_id, uuid4()) is None
    world.age(3)

    heir = uuid4()
    taken = not_none(world.leases.take(pairing.attempt_id, heir))

    assert (taken.linkers, taken.alive) == (2, True)
    assert world.bound(pairing.secret)["lease_id"] == heir


@pytest.mark.parametrize("call", ["renew", "show_qr"])
def test_a_linker_that_comes_back_late_shows_its_qr_again(pairing: ShownPairing, call: str) -> None:
    """The linker hung for longer than its lease, and no other linker took over. So its QR must be shown again."""
    world, secret = pairing.world, pairing.secret
    world.age(LEASE_SECONDS + 1)
    row = world.show_row(pairing.user)
    assert row
    assert (row["session_status"], row["qr_code"]) == ("connecting", None)

    if call == "renew":
        not_none(world.leases.renew(pairing.attempt_id, pairing.lease))
    else:
        not_none(world.leases.show_qr(pairing.attempt_id, pairing.lease, secret.text(2), 20, secret.fingerprint))

    session = world.sessions.get(pairing.user)
    assert session.qr == secret.text(1 if call == "renew" else 2)
    assert world.value("SELECT behind FROM whatsapp_private.sessions")
    row = world.show_row(pairing.user)
    assert row
    assert row["qr_code"] == session.qr


def test_a_renewed_lease_lasts_longer(pairing: ShownPairing) -> None:
    world = pairing.world
    world.age(6)
    assert not_none(world.leases.renew(pairing.attempt_id, pairing.lease)).alive
    world.age(6)

    assert world.leases.take(pairing.attempt_id, uuid4()) is None
    (left,) = world.sql(
        "SELECT extract(epoch FROM lease_expires_at - now())::float8 AS s FROM whatsapp_private.devices"
    )
    assert LEASE_SECONDS - 7 < left["s"] <= LEASE_SECONDS - 6


def test_a_renewal_returns_the_workflow_s_present_token(pairing: ShownPairing) -> None:
    world = pairing.world
    world.open_auth(pairing.attempt_id, "token-auth")
    renewed = not_none(world.leases.renew(pairing.attempt_id, pairing.lease))
    assert (renewed.task_token, renewed.phase) == ("token-auth", Phase.AUTH)


def test_the_next_linker_knows_whether_whatsapp_was_reachable(pairing: ShownPairing) -> None:
    world = pairing.world
    assert not_none(world.attempts.get(pairing.attempt_id)).reachable
    assert not not_none(world.leases.renew(pairing.attempt_id, pairing.lease, reachable=False)).reachable
    world.age(LEASE_SECONDS)
    assert not not_none(world.leases.take(pairing.attempt_id, uuid4())).reachable


def test_a_qr_is_not_shown_without_its_engine(pairing: ShownPairing) -> None:
    world = pairing.world
    assert world.sessions.get(pairing.user).qr
    assert world.leases.renew(pairing.attempt_id, pairing.lease, ended=pairing.secret.fingerprint)
    assert world.sessions.get(pairing.user).status is Status.CONNECTING
    assert world.leases.renew(pairing.attempt_id, pairing.lease)
    assert world.sessions.get(pairing.user).qr is None


def test_the_late_end_of_an_engine_does_not_hide_the_next_qr(pairing: ShownPairing) -> None:
    """A linker repeats a renewal. The first try reaches Postgres late, when the next engine already has a QR."""
    world, following = pairing.world, Secret()
    world.leases.renew(pairing.attempt_id, pairing.lease, ended=pairing.secret.fingerprint)
    world.show(pairing.attempt_id, pairing.lease, following)

    assert world.leases.renew(pairing.attempt_id, pairing.lease, ended=pairing.secret.fingerprint)
    assert world.sessions.get(pairing.user).qr == following.text()
    assert world.show(pairing.attempt_id, pairing.lease, pairing.secret)
    assert world.sessions.get(pairing.user).qr == following.text(), "a late QR of the ended engine"


def test_an_attempt_with_an_end_or_a_verdict_is_not_taken(world: World) -> None:
    ended, decided, released = world.claim(), world.claim(), world.claim()
    attempt = not_none(world.attempts.get(ended))
    world.attempts.end(attempt, Reason.CANCELLED)
    world.leases.release(decided, world.lease(decided), Reason.ACCOUNT_BANNED)
    world.leases.release(released, world.lease(released), None)

    assert world.leases.take(ended, uuid4()) is None
    assert world.leases.take(decided, uuid4()) is None
    assert world.leases.take(uuid4(), uuid4()) is None
    assert world.leases.take(released, uuid4()) is not None


# ── a lease that is lost ──


def lose_to_another(pairing: ShownPairing) -> None:
    pairing.world.age(LEASE_SECONDS + 1)
    pairing.world.lease(pairing.attempt_id)


def lose_to_a_disconnect(pairing: ShownPairing) -> None:
    pairing.world.attempts.disconnect(pairing.user)


def lose_to_the_workflow(pairing: ShownPairing) -> None:
    pairing.world.attempts.end(not_none(pairing.world.attempts.get(pairing.attempt_id)), Reason.SCAN_TIMEOUT)


def lose_to_a_new_attempt(pairing: ShownPairing) -> None:
    pairing.world.attempts.disconnect(pairing.user)
    pairing.world.age(10)
    attempt_id = pairing.world.claim(pairing.user)
    pairing.world.show(attempt_id, pairing.world.lease(attempt_id), Secret())


def lose_its_user(pairing: ShownPairing) -> None:
    pairing.world.sql("DELETE FROM auth.users")


LOSSES = [lose_to_another, lose_to_a_disconnect, lose_to_the_workflow, lose_to_a_new_attempt, lose_its_user]
WRITES: dict[str, Callable[[Leases, UUID, UUID, str], Any]] = {
    "renew": lambda leases, attempt, lease, _: leases.renew(attempt, lease),
    "show_qr": lambda leases, attempt, lease, _: leases.show_qr(
        attempt, lease, Secret("late").text(), 60, Secret("late").fingerprint
    ),
    "scanned": lambda leases, attempt, lease, device: leases.scanned(attempt, lease, device),
    "connected": lambda leases, attempt, lease, device: leases.connected(attempt, lease, device),
    "refuse": lambda leases, attempt, lease, device: leases.refuse(attempt, lease, 0, device),
    "release": lambda leases, attempt, lease, _: leases.release(attempt, lease, Reason.INTERNAL),
}


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("scanned", [False, True], ids=["shown", "scanned"])
def test_a_linker_without_its_lease_writes_nothing(
    pairing: ShownPairing, write: str, lose: Callable[[ShownPairing], None], scanned: bool
) -> None:
    if scanned:
        pairing.scan()
    lose(pairing)
    before = pairing.world.snapshot()

    assert WRITES[write](pairing.world.leases, pairing.attempt_id, pairing.lease, JID) is None
    assert pairing.world.snapshot() == before


# ── release ──


def test_a_second_verdict_does_not_replace_the_first(pairing: ShownPairing) -> None:
    world = pairing.world
    world.sql("UPDATE whatsapp_private.attempts SET verdict = 'account_banned'")
    released = not_none(world.leases.release(pairing.attempt_id, pairing.lease, Reason.INTERNAL))
    assert (released.verdict, released.alive) == (Reason.ACCOUNT_BANNED, False)


def test_a_released_attempt_can_be_taken_at_once(pairing: ShownPairing) -> None:
    world, heir = pairing.world, uuid4()
    world.leases.release(pairing.attempt_id, pairing.lease, None)
    assert not_none(world.leases.take(pairing.attempt_id, heir)).verdict is None
    assert world.bound(pairing.secret)["lease_id"] == heir


def test_a_device_without_its_linker_is_unlinked_at_once(pairing: ShownPairing) -> None:
    world = pairing.world
    pairing.scan()
    world.leases.release(pairing.attempt_id, pairing.lease, Reason.PAIRING_REJECTED)
    world.attempts.end(not_none(world.attempts.get(pairing.attempt_id)), Reason.PAIRING_REJECTED)

    taken = Devices(world.new_database("whatsapp_worker")).take(world.bound(pairing.secret)["id"], uuid4())

    assert taken is not None
    assert taken.jid == JID


def test_a_device_scanned_at_the_moment_of_the_end_is_given_up(pairing: ShownPairing) -> None:
    world = pairing.world
    assert world.attempts.disconnect(pairing.user).devices == []
    assert world.leases.let_go(pairing.attempt_id, pairing.lease) == []
    world.store_keys(pairing.secret, JID)
    assert world.leases.let_go(pairing.attempt_id, pairing.lease) == [world.bound(pairing.secret)["id"]]
