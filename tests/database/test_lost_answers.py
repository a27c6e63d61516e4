"""The answer to a call may be lost after its commit. The repeated call gives the same answer.

The connection of each call is cut once, after Postgres has committed and before the answer is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from whatsapp_pairing.cleanup import Sweeps
from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.keeper.devices import Devices
from whatsapp_pairing.pairing.attempt import Phase
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime.database import Connection, Database, Row, T

from tests.support.adv_secret import Secret
from tests.support.logins import login
from tests.support.repositories import LIMIT, WINDOW, World, entered
from tests.support.shown_pairing import JID


class ForgetfulDatabase(Database):
    """Loses the answer to the first try of every call."""

    lost = 0

    def run(self, work: Callable[[Connection], T]) -> T:
        tries = 0

        def lose(connection: Connection) -> T:
            nonlocal tries
            tries += 1
            answer = work(connection)
            if tries == 1:
                self.lost += 1
                connection.close()
                raise psycopg.OperationalError("the connection is lost")
            return answer

        return super().run(lose)

    def run_text(self, text: str, parameters: Mapping[str, object]) -> Row | None:
        super().run_text(text, parameters)
        return super().run_text(text, parameters)


class Forgetful:
    """Repositories that lose the first answer to every call."""

    def __init__(self, world: World) -> None:
        api, worker = (ForgetfulDatabase(lambda role=role: login(world.url, role)) for role in _ROLES)
        world.databases += [api, worker]
        self.databases = [api, worker]
        self.api, self.worker = Attempts(api), Attempts(worker)
        self.leases, self.sweeps, self.session_rows = Leases(worker), Sweeps(worker), SessionRows(worker)


_ROLES = ("whatsapp_api", "whatsapp_worker")


@pytest.fixture
def forgetful(world: World) -> Forgetful:
    return Forgetful(world)


def test_a_pairing_that_loses_every_first_answer_connects(world: World, forgetful: Forgetful) -> None:
    user, attempt_id, lease, secret = world.user(), uuid4(), uuid4(), Secret()

    assert forgetful.api.claim(user, attempt_id, WINDOW, LIMIT).claimed
    opened = forgetful.worker.open_phase(attempt_id, entered(Phase.QR, "token"), WINDOW)
    assert opened
    assert opened.task_token == "token"
    taken = forgetful.leases.take(attempt_id, lease)
    assert taken
    assert taken.linkers == 1
    assert forgetful.leases.show_qr(attempt_id, lease, secret.text(), 60, secret.fingerprint)
    assert forgetful.leases.renew(attempt_id, lease)
    world.store_keys(secret, JID)
    scanned = forgetful.leases.scanned(attempt_id, lease, JID)
    assert scanned
    assert scanned.deadline == world.attempt(attempt_id)["deadline"]
    done = forgetful.leases.connected(attempt_id, lease, JID)
    assert done
    connected = done.attempt
    assert (connected.outcome, connected.task_token) == ("connected", "token")
    assert connected.since_scan is not None
    assert forgetful.session_rows.write(user, connected.version)

    assert world.value("SELECT count(*) FROM whatsapp_private.attempts") == 1
    assert world.value("SELECT count(*) FROM whatsapp_private.devices") == 1
    assert world.sessions.get(user).phone_number == "5215550009"
    row = world.row(user)
    assert row
    assert row["session_status"] == "connected"
    assert [database.lost for database in forgetful.databases] == [1, 6]


def shown(world: World, user: UUID) -> tuple[UUID, UUID, Secret]:
    """Make an attempt whose QR a phone has scanned, but whose linker has not reported the scan."""
    attempt_id, secret = world.claim(user), Secret()
    world.attempts.open_phase(attempt_id, entered(Phase.QR, "token"), WINDOW)
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.store_keys(secret, JID)
    return attempt_id, lease, secret


def test_a_disconnect_whose_answer_is_lost_names_all_it_ended(world: World, forgetful: Forgetful) -> None:
    attempt_id, _, secret = shown(world, user := world.user())

    ended = forgetful.api.disconnect(user)

    assert (ended.changed, ended.task_token, ended.linkers) == (True, "token", 1)
    assert ended.devices == [world.bound(secret)["id"]]
    assert world.attempt(attempt_id)["outcome"] == "cancelled"
    again = world.attempts.disconnect(user)  # a second click is a new call, not a repeated one
    assert (again.changed, again.task_token, again.devices) == (False, None, [])


def test_an_end_whose_answer_is_lost_names_its_devices(world: World, forgetful: Forgetful) -> None:
    attempt_id, _, secret = shown(world, world.user())
    attempt = world.attempts.get(attempt_id)
    assert attempt

    ended = forgetful.worker.end(attempt, Reason.SCAN_TIMEOUT)

    assert ended
    assert ended.devices == [world.bound(secret)["id"]]
    assert world.attempt(attempt_id)["failures"] == 1
    assert forgetful.worker.end(attempt, Reason.SCAN_TIMEOUT) is None  # a new call, not a repeated one


def test_a_refusal_whose_answer_is_lost_is_counted_once(world: World, forgetful: Forgetful) -> None:
    attempt_id, lease, secret = shown(world, user := world.user())
    assert world.leases.scanned(attempt_id, lease, JID)

    refused = forgetful.leases.refuse(attempt_id, lease, 0, JID)

    assert refused
    assert (refused.refusals, refused.notice, refused.task_token) == (1, Notice.NEW_QR, "token")
    assert refused.version == world.value("SELECT version FROM whatsapp_private.sessions WHERE user_id = %s", user)
    assert world.attempt(attempt_id)["refusals"] == 1
    assert world.bound(secret)["state"] == "unlinking"


@pytest.mark.parametrize("verdict", [None, Reason.ACCOUNT_BANNED])
def test_a_release_whose_answer_is_lost_answers_the_attempt(
    world: World, forgetful: Forgetful, verdict: Reason | None
) -> None:
    attempt_id, lease, _ = shown(world, world.user())
    released = forgetful.leases.release(attempt_id, lease, verdict)
    assert released
    assert (released.verdict, released.alive, released.task_token) == (verdict, False, "token")


@pytest.mark.parametrize("late", ["renew", "take"])
def test_a_late_call_does_not_bring_the_lease_back(world: World, late: str) -> None:
    attempt_id, lease, _ = shown(world, world.user())
    world.leases.release(attempt_id, lease, None)
    assert getattr(world.leases, late)(attempt_id, lease) is None
    assert world.leases.take(attempt_id, uuid4())


@pytest.mark.parametrize("hangs", [0, 9])
def test_a_take_that_arrives_late_changes_nothing(world: World, hangs: int) -> None:
    """The linker repeats the call and shows its QR. Then the first try reaches Postgres."""
    user, secret = world.user(), Secret()
    attempt_id = world.claim(user)
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.age(hangs)
    world.show_row(user)
    before = world.sessions.get(user)
    assert before.qr == (None if hangs else secret.text())

    taken = world.leases.take(attempt_id, lease)

    assert taken
    assert (taken.linkers, world.sessions.get(user)) == (1, before)


@pytest.mark.parametrize("notice", [None, Notice.SCAN_AGAIN])
@pytest.mark.parametrize("refused", [False, True])
def test_a_qr_that_arrives_late_is_not_shown_after_its_scan(world: World, notice: Notice | None, refused: bool) -> None:
    """The linker repeats the call and reports the scan. Then the first try reaches Postgres."""
    attempt_id, lease, secret = shown(world, user := world.user())
    world.leases.scanned(attempt_id, lease, JID)
    if refused:
        world.leases.refuse(attempt_id, lease, 0, JID)
    before = world.sessions.get(user)

    assert world.leases.show_qr(attempt_id, lease, secret.text(), 60, secret.fingerprint, notice)

    assert (world.sessions.get(user), before.qr) == (before, None)


def test_let_go_whose_answer_is_lost_names_its_devices(world: World, forgetful: Forgetful) -> None:
    attempt_id, lease, secret = shown(world, user := world.user())
    world.attempts.disconnect(user)
    assert forgetful.leases.let_go(attempt_id, lease) == [world.bound(secret)["id"]]


def test_unlinks_whose_answer_is_lost_are_counted_once(world: World, forgetful: Forgetful) -> None:
    _, _, secret = shown(world, user := world.user())
    world.attempts.disconnect(user)
    world.age(241)
    device = world.bound(secret)["id"]
    assert forgetful.sweeps.start_unlinks(10) == [device]
    assert world.bound(secret)["unlink_starts"] == 1


def test_an_unlink_whose_lease_is_answered_late_goes_on(world: World, forgetful: Forgetful) -> None:
    attempt_id, lease, _ = shown(world, user := world.user())
    (device,) = world.attempts.disconnect(user).devices
    world.leases.let_go(attempt_id, lease)
    taken = Devices(forgetful.databases[1]).take(device, uuid4())
    assert taken
    assert taken.jid == JID


def test_a_device_is_forgotten_though_the_answer_is_lost(world: World, forgetful: Forgetful) -> None:
    attempt_id, lease, secret = shown(world, user := world.user())
    (device,) = world.attempts.disconnect(user).devices
    world.leases.let_go(attempt_id, lease)
    devices, lease = Devices(forgetful.databases[1]), uuid4()
    assert devices.take(device, lease)
    devices.forget(device, lease)
    assert world.device(secret) is None
    assert not world.has_keys(secret)


def test_sweeps_of_keys_and_contacts_may_be_repeated(world: World, forgetful: Forgetful) -> None:
    """After a lost answer, the count is too low, but the rows are done."""
    secrets = [Secret(), Secret()]
    for number, secret in enumerate(secrets):
        world.store_keys(secret, f"521555000{number}:1@s.whatsapp.net")
    forgetful.sweeps.give_up_unexplained(1)
    assert {world.bound(secret)["state"] for secret in secrets} == {"unlinking"}
    world.sql("DELETE FROM whatsapp_engine.whatsmeow_device")
    world.sql("INSERT INTO whatsapp_engine.whatsmeow_lid_map VALUES ('a', '1'), ('b', '2')")
    assert forgetful.sweeps.forget_contacts(1).done == 1
    assert world.value("SELECT count(*) FROM whatsapp_engine.whatsmeow_lid_map") == 0


def test_a_repeated_call_waits_for_a_first_try_that_runs(world: World) -> None:
    """The client has given up the first try, but Postgres still runs it."""
    user, call = world.user(), uuid4()
    _, _, secret = shown(world, user)
    repeat = "SELECT whatsapp_private.disconnect_v1(%s, %s, 'cancelled') AS answer"
    with psycopg.connect(login(world.url, "whatsapp_api")) as first:
        answer = first.execute(repeat, (call, user)).fetchone()
        assert answer
        api = world.new_database("whatsapp_api")
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(api.run, lambda it: it.execute(repeat, (call, user)).fetchone())
            try:
                world.wait_for_a_blocked_backend()
            finally:
                first.commit()
            assert second.result() == {"answer": answer[0]}
    assert answer[0]["devices"] == [str(world.bound(secret)["id"])]


def test_tokens_and_answers_are_kept_for_five_minutes(world: World) -> None:
    attempt_id, _, _ = shown(world, user := world.user())
    world.attempts.disconnect(user)
    counts: dict[str, Any] = {
        "tokens": "SELECT count(*) FROM whatsapp_private.attempts WHERE task_token IS NOT NULL",
        "answers": "SELECT count(*) FROM whatsapp_private.answers",
    }

    def sweep(minutes: float) -> list[int]:
        world.age(minutes * 60)
        age = "UPDATE whatsapp_private.answers SET answered_at = answered_at - make_interval(secs => %s)"
        world.sql(age, minutes * 60)
        world.sweeps.clear_tokens(10)
        world.sweeps.delete_answers(10)
        return [world.value(count) for count in counts.values()]

    assert sweep(4.9) == [1, 1]
    assert sweep(0.2) == [0, 0]
    assert world.attempt(attempt_id)["outcome"] == "cancelled"
