"""What a linker may do while it holds the lease, and that it may do nothing without."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.keeper.devices import Devices
from whatsapp_pairing.pairing.attempt import LOGIN_SECONDS, Attempt, Phase
from whatsapp_pairing.pairing.leases import Connected, Leases
from whatsapp_pairing.runtime.lease import LEASE_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.repositories import WINDOW, World
from tests.support.stack import PATIENCE_SECONDS

JID = "5215550009:3@s.whatsapp.net"
T = TypeVar("T")


@pytest.fixture
def pairing(world: World) -> Pairing:
    """A live attempt with a linker that has shown a QR."""
    return Pairing(world)


class Pairing:
    """A live attempt with a linker that has shown a QR."""

    def __init__(self, world: World) -> None:
        self.world, self.user, self.secret = world, world.user(), Secret()
        self.attempt_id = world.claim(self.user)
        self.lease = world.lease(self.attempt_id)
        assert world.show(self.attempt_id, self.lease, self.secret)

    @property
    def linked(self) -> str:
        """The device, as the engine names it after the scan."""
        return JID

    def scan(self) -> Attempt:
        """Let a phone scan, all the way to the binding."""
        self.world.store_keys(self.secret, JID)
        return there(self.world.leases.scanned(self.attempt_id, self.lease, self.linked))

    def connect(self) -> Connected:
        """Let the device come online."""
        return there(self.world.leases.connected(self.attempt_id, self.lease, self.linked))


def there(found: T | None) -> T:
    assert found is not None
    return found


# ── the lease itself ──


def test_one_of_ten_linkers_at_once_gets_the_lease(world: World) -> None:
    attempt_id, start = world.claim(), threading.Barrier(10)
    databases = [world.new_database("whatsapp_worker") for _ in range(10)]

    def take(number: int) -> bool:
        leases = Leases(databases[number])
        leases.renew(attempt_id, uuid4())  # connected, so that only the leases race
        start.wait(PATIENCE_SECONDS)
        return leases.take(attempt_id, uuid4()) is not None

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(take, range(10))) == 1
    assert world.attempt(attempt_id)["legs"] == 1


def test_a_repeated_take_of_a_lease_counts_one_linker(world: World) -> None:
    """The answer to its first question may have been lost."""
    attempt_id, lease = world.claim(), uuid4()
    for _ in range(2):
        assert there(world.leases.take(attempt_id, lease)).legs == 1


def test_an_expired_lease_passes_to_the_next_linker(pairing: Pairing) -> None:
    world = pairing.world
    world.age(LEASE_SECONDS - 2)
    assert world.leases.take(pairing.attempt_id, uuid4()) is None
    world.age(3)

    heir = uuid4()
    taken = there(world.leases.take(pairing.attempt_id, heir))

    assert (taken.legs, taken.alive) == (2, True)
    assert world.bound(pairing.secret)["lease_id"] == heir


@pytest.mark.parametrize("call", ["renew", "show_qr"])
def test_a_linker_that_comes_back_late_shows_its_qr_again(pairing: Pairing, call: str) -> None:
    """It hung for longer than its lease, and nobody took over: the row must not stay without the QR."""
    world, secret = pairing.world, pairing.secret
    world.age(LEASE_SECONDS + 1)
    row = world.show_row(pairing.user)
    assert row
    assert (row["session_status"], row["qr_code"]) == ("connecting", None)

    if call == "renew":
        there(world.leases.renew(pairing.attempt_id, pairing.lease))
    else:
        there(world.leases.show_qr(pairing.attempt_id, pairing.lease, secret.text(2), 20, secret.fingerprint))

    session = world.sessions.get(pairing.user)
    assert session.qr == secret.text(1 if call == "renew" else 2)
    assert world.value("SELECT behind FROM whatsapp_private.sessions")
    row = world.show_row(pairing.user)
    assert row
    assert row["qr_code"] == session.qr


def test_a_renewed_lease_lives_on(pairing: Pairing) -> None:
    world = pairing.world
    world.age(6)
    assert there(world.leases.renew(pairing.attempt_id, pairing.lease)).alive
    world.age(6)

    assert world.leases.take(pairing.attempt_id, uuid4()) is None
    (left,) = world.sql(
        "SELECT extract(epoch FROM lease_expires_at - now())::float8 AS s FROM whatsapp_private.devices"
    )
    assert LEASE_SECONDS - 7 < left["s"] <= LEASE_SECONDS - 6


def test_a_renewal_returns_the_workflow_s_present_token(pairing: Pairing) -> None:
    world = pairing.world
    world.open_auth(pairing.attempt_id, "token-auth")
    renewed = there(world.leases.renew(pairing.attempt_id, pairing.lease))
    assert (renewed.task_token, renewed.phase) == ("token-auth", Phase.AUTH)


def test_the_next_linker_knows_whether_whatsapp_was_reachable(pairing: Pairing) -> None:
    world = pairing.world
    assert there(world.attempts.get(pairing.attempt_id)).reachable
    assert not there(world.leases.renew(pairing.attempt_id, pairing.lease, reachable=False)).reachable
    world.age(LEASE_SECONDS)
    assert not there(world.leases.take(pairing.attempt_id, uuid4())).reachable


def test_a_qr_is_not_shown_without_its_engine(pairing: Pairing) -> None:
    world = pairing.world
    assert world.sessions.get(pairing.user).qr
    assert world.leases.renew(pairing.attempt_id, pairing.lease, ended=pairing.secret.fingerprint)
    assert world.sessions.get(pairing.user).status is Status.CONNECTING
    assert world.leases.renew(pairing.attempt_id, pairing.lease)
    assert world.sessions.get(pairing.user).qr is None


def test_the_late_end_of_an_engine_does_not_hide_the_next_qr(pairing: Pairing) -> None:
    """A renewal is repeated after a lost connection. Its first try reaches Postgres when the next engine has a QR."""
    world, following = pairing.world, Secret()
    world.leases.renew(pairing.attempt_id, pairing.lease, ended=pairing.secret.fingerprint)
    world.show(pairing.attempt_id, pairing.lease, following)

    assert world.leases.renew(pairing.attempt_id, pairing.lease, ended=pairing.secret.fingerprint)
    assert world.sessions.get(pairing.user).qr == following.text()
    assert world.show(pairing.attempt_id, pairing.lease, pairing.secret)
    assert world.sessions.get(pairing.user).qr == following.text(), "a late QR of the ended engine"


def test_an_attempt_with_an_end_or_a_verdict_is_not_taken(world: World) -> None:
    ended, decided, released = world.claim(), world.claim(), world.claim()
    attempt = there(world.attempts.get(ended))
    world.attempts.end(attempt, Reason.CANCELLED)
    world.leases.release(decided, world.lease(decided), Reason.ACCOUNT_BANNED)
    world.leases.release(released, world.lease(released), None)

    assert world.leases.take(ended, uuid4()) is None
    assert world.leases.take(decided, uuid4()) is None
    assert world.leases.take(uuid4(), uuid4()) is None
    assert world.leases.take(released, uuid4()) is not None


# ── a lease that is lost ──


def lose_to_another(pairing: Pairing) -> None:
    pairing.world.age(LEASE_SECONDS + 1)
    pairing.world.lease(pairing.attempt_id)


def lose_to_a_disconnect(pairing: Pairing) -> None:
    pairing.world.attempts.disconnect(pairing.user)


def lose_to_the_workflow(pairing: Pairing) -> None:
    pairing.world.attempts.end(there(pairing.world.attempts.get(pairing.attempt_id)), Reason.SCAN_TIMEOUT)


def lose_to_a_new_attempt(pairing: Pairing) -> None:
    pairing.world.attempts.disconnect(pairing.user)
    pairing.world.age(10)
    attempt_id = pairing.world.claim(pairing.user)
    pairing.world.show(attempt_id, pairing.world.lease(attempt_id), Secret())


def lose_its_user(pairing: Pairing) -> None:
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
    pairing: Pairing, write: str, lose: Callable[[Pairing], None], scanned: bool
) -> None:
    if scanned:
        pairing.scan()
    lose(pairing)
    before = pairing.world.snapshot()

    assert WRITES[write](pairing.world.leases, pairing.attempt_id, pairing.lease, pairing.linked) is None
    assert pairing.world.snapshot() == before


# ── QR ──


def test_a_shown_qr_binds_its_device(pairing: Pairing) -> None:
    session, device = pairing.world.sessions.get(pairing.user), pairing.world.bound(pairing.secret)
    assert session.status is Status.WAITING_QR
    assert session.qr == pairing.secret.text()
    assert session.qr_expires_at is not None
    assert (device["user_id"], device["attempt_id"]) == (pairing.user, pairing.attempt_id)
    assert (device["state"], device["lease_id"], device["jid"]) == ("offered", pairing.lease, None)
    row = pairing.world.show_row(pairing.user)
    assert row is not None
    assert row["qr_code"] == pairing.secret.text()


def test_the_next_qr_of_a_device_replaces_the_last(pairing: Pairing) -> None:
    world, text = pairing.world, pairing.secret.text(2)
    shown_at = world.attempt(pairing.attempt_id)["qr_shown_at"]

    world.leases.show_qr(pairing.attempt_id, pairing.lease, text, 20, pairing.secret.fingerprint)

    assert world.sessions.get(pairing.user).qr == text
    assert world.attempt(pairing.attempt_id)["qr_shown_at"] == shown_at
    assert world.value("SELECT count(*) FROM whatsapp_private.devices") == 1


def test_a_qr_is_shown_to_a_user_who_deleted_the_row(pairing: Pairing) -> None:
    pairing.world.sql("DELETE FROM public.whatsapp_sessions")
    pairing.world.leases.show_qr(
        pairing.attempt_id, pairing.lease, pairing.secret.text(2), 20, pairing.secret.fingerprint
    )
    assert pairing.world.sessions.get(pairing.user).qr == pairing.secret.text(2)


# ── scan ──


def test_a_scan_hides_the_qr_and_binds_the_jid(pairing: Pairing) -> None:
    attempt = pairing.scan()
    session, device = pairing.world.sessions.get(pairing.user), pairing.world.bound(pairing.secret)
    assert attempt.scanned
    assert (session.status, session.qr, session.poll_after_ms) == (Status.WAITING_QR, None, 400)
    assert (device["state"], device["jid"]) == ("linking", JID)
    row = pairing.world.show_row(pairing.user)
    assert row is not None
    assert (row["session_status"], row["qr_code"]) == ("waiting_qr", None)


def test_a_scan_in_the_last_second_extends_the_deadline_once(pairing: Pairing) -> None:
    world = pairing.world
    world.open_auth(pairing.attempt_id)
    world.age(WINDOW - 1)
    world.leases.renew(pairing.attempt_id, pairing.lease)

    assert LOGIN_SECONDS - 2 < pairing.scan().remaining <= LOGIN_SECONDS
    world.age(50)
    again = there(world.leases.scanned(pairing.attempt_id, pairing.lease, pairing.linked))
    assert LOGIN_SECONDS - 52 < again.remaining <= LOGIN_SECONDS - 50


def test_an_early_scan_does_not_move_the_deadline(pairing: Pairing) -> None:
    deadline = pairing.world.attempt(pairing.attempt_id)["deadline"]
    assert pairing.scan().deadline == deadline


def test_a_scan_before_the_scan_window_opens_keeps_its_time(pairing: Pairing) -> None:
    """A quick phone: the QR was shown and scanned before WaitForAuth was entered."""
    pairing.scan()
    pairing.world.open_auth(pairing.attempt_id, seconds=5)
    opened = there(pairing.world.attempts.get(pairing.attempt_id))
    assert opened.phase == "auth"
    assert opened.remaining > LOGIN_SECONDS - 5


def test_a_scan_without_stored_keys_is_not_written(pairing: Pairing) -> None:
    """The device is the one whose keys whatsmeow has stored under the JID."""
    pairing.world.store_keys(Secret(), JID)  # somebody else's device
    before = pairing.world.snapshot()
    assert pairing.world.leases.scanned(pairing.attempt_id, pairing.lease, JID) is None
    assert pairing.world.snapshot() == before


def test_a_scan_that_was_not_reported_is_resumed(pairing: Pairing) -> None:
    world = pairing.world
    before = there(world.leases.renew(pairing.attempt_id, pairing.lease))
    assert (before.stored_jid, before.scanned) == (None, False)
    world.store_keys(pairing.secret, JID)

    renewed = there(world.leases.renew(pairing.attempt_id, pairing.lease))

    assert (renewed.stored_jid, renewed.stored_fingerprint) == (pairing.linked, pairing.secret.fingerprint)
    assert renewed.scanned
    assert there(world.attempts.get(world.claim())).stored_jid is None


def test_the_newest_of_two_scanned_devices_is_resumed(pairing: Pairing) -> None:
    world, newer = pairing.world, Secret()
    pairing.scan()
    world.age(5)
    world.show(pairing.attempt_id, pairing.lease, newer)
    world.store_keys(newer, "5215550009:4@s.whatsapp.net")
    assert there(world.attempts.get(pairing.attempt_id)).stored_jid == "5215550009:4@s.whatsapp.net"


def test_a_device_may_get_the_jid_of_a_removed_device(world: World) -> None:
    """A phone that removed its device may link the next one under the same number; the old binding is still here."""
    earlier = Pairing(world)
    earlier.scan()
    world.drop_keys(JID)
    world.attempts.disconnect(earlier.user)
    world.age(10)

    now = Pairing(world)
    now.scan()
    now.connect()

    assert world.sessions.get(now.user).status is Status.CONNECTED


def test_a_scan_locks_the_attempt_before_its_device(pairing: Pairing) -> None:
    """In the order of every other statement: a disconnect in the moment of a scan must not meet it in a deadlock."""
    world = pairing.world
    world.store_keys(pairing.secret, JID)
    with psycopg.connect(world.url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT FROM whatsapp_private.attempts FOR UPDATE")
        scanned = pool.submit(world.leases.scanned, pairing.attempt_id, pairing.lease, pairing.linked)
        try:
            world.wait_for_a_blocked_backend()
            other.execute("SELECT FROM whatsapp_private.devices FOR UPDATE NOWAIT")
        finally:
            other.rollback()
            scanned.result(10)


# ── connected ──


def test_connecting_ends_the_attempt_and_shows_the_number(pairing: Pairing) -> None:
    pairing.scan()
    attempt = pairing.connect().attempt

    session, device = pairing.world.sessions.get(pairing.user), pairing.world.bound(pairing.secret)
    assert (attempt.outcome, attempt.alive) == ("connected", False)
    assert (session.status, session.phone_number, session.qr) == (Status.CONNECTED, "5215550009", None)
    assert session.connected_at is not None
    assert session.connected_at == session.last_seen
    assert (session.attempt, session.reason) == (None, None)
    assert (device["state"], device["jid"], device["lease_id"]) == ("linked", JID, None)


def test_connecting_gives_up_devices_of_earlier_linkers(pairing: Pairing) -> None:
    world, unused = pairing.world, Secret()
    world.show(pairing.attempt_id, pairing.lease, unused)
    pairing.scan()
    assert pairing.connect().given_up == []  # nobody has scanned it, so no phone lists it
    assert world.bound(unused)["state"] == "unlinking"
    assert world.bound(pairing.secret)["state"] == "linked"


def test_connecting_names_earlier_devices_that_were_scanned(pairing: Pairing) -> None:
    world, earlier = pairing.world, Secret()
    world.show(pairing.attempt_id, pairing.lease, earlier)
    world.store_keys(earlier, "5215550009:4@s.whatsapp.net")
    pairing.scan()

    given_up = pairing.connect().given_up

    assert given_up == [world.bound(earlier)["id"]]
    assert (world.bound(earlier)["state"], world.bound(earlier)["lease_id"]) == ("unlinking", None)
    assert pairing.connect().given_up == given_up  # a repeated call


# ── release ──


def test_a_second_verdict_does_not_replace_the_first(pairing: Pairing) -> None:
    world = pairing.world
    world.sql("UPDATE whatsapp_private.attempts SET verdict = 'account_banned'")
    released = there(world.leases.release(pairing.attempt_id, pairing.lease, Reason.INTERNAL))
    assert (released.verdict, released.alive) == (Reason.ACCOUNT_BANNED, False)


def test_a_released_attempt_can_be_taken_at_once(pairing: Pairing) -> None:
    world, heir = pairing.world, uuid4()
    world.leases.release(pairing.attempt_id, pairing.lease, None)
    assert there(world.leases.take(pairing.attempt_id, heir)).verdict is None
    assert world.bound(pairing.secret)["lease_id"] == heir


def test_a_device_without_its_linker_is_unlinked_at_once(pairing: Pairing) -> None:
    world = pairing.world
    pairing.scan()
    world.leases.release(pairing.attempt_id, pairing.lease, Reason.PAIRING_REJECTED)
    world.attempts.end(there(world.attempts.get(pairing.attempt_id)), Reason.PAIRING_REJECTED)

    taken = Devices(world.new_database("whatsapp_worker")).take(world.bound(pairing.secret)["id"], uuid4())

    assert taken is not None
    assert taken.jid == JID


def test_a_device_scanned_at_the_moment_of_the_end_is_given_up(pairing: Pairing) -> None:
    world = pairing.world
    assert world.attempts.disconnect(pairing.user).devices == []
    assert world.leases.let_go(pairing.attempt_id, pairing.lease) == []
    world.store_keys(pairing.secret, JID)
    assert world.leases.let_go(pairing.attempt_id, pairing.lease) == [world.bound(pairing.secret)["id"]]
