"""Sequences of allowed calls: a thief with one login role tries to reach another user's data."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.support.adv_secret import Secret
from tests.support.logins import login
from tests.support.repositories import World

JID = "5215550001:7@s.whatsapp.net"
ATTEMPT, DEVICE = "whatsapp_private.attempts", "whatsapp_private.devices"
Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def api(world: World) -> Iterator[Run]:
    """Runs statements with the stolen login of the API."""
    with logged_in(world, "whatsapp_api") as run:
        yield run


@pytest.fixture
def worker(world: World) -> Iterator[Run]:
    """Runs statements with the stolen login of the worker."""
    with logged_in(world, "whatsapp_worker") as run:
        yield run


@contextlib.contextmanager
def logged_in(world: World, role: str) -> Iterator[Run]:
    """Run statements as this role. A refused statement returns no rows. An invalid statement fails the test."""
    with psycopg.connect(login(world.url, role), autocommit=True, row_factory=dict_row) as connection:

        def run(statement: str, *values: object) -> list[dict[str, Any]]:
            try:
                cursor = connection.execute(statement.encode(), values or None)
            except (psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable):
                raise
            except psycopg.Error:
                return []
            return cursor.fetchall() if cursor.description else []

        yield run


def bindings(world: World) -> list[dict[str, Any]]:
    """The user, attempt and state of each device."""
    return world.sql(f"SELECT id, user_id, attempt_id, fingerprint, state, jid FROM {DEVICE} ORDER BY fingerprint")


def bind(worker: Run, attempt: UUID, lease: UUID, fingerprint: bytes, jid: str | None) -> None:
    """Try to bind this device to the thief's attempt, and to link it."""
    worker("select whatsapp_private.take_v1(%s, %s, 60)", attempt, lease)
    worker("select whatsapp_private.show_qr_v1(%s, %s, 60, 'qr', 60, %s, null)", attempt, lease, fingerprint)
    worker("select whatsapp_private.scanned_v1(%s, %s, %s, 60)", attempt, lease, jid)
    worker("select whatsapp_private.connected_v1(%s, %s, %s)", attempt, lease, jid)


def test_the_worker_cannot_move_a_linked_device(world: World, worker: Run) -> None:
    victim, secret, own, lease = world.user(), Secret("victim"), world.claim(), uuid4()
    ended = world.link(victim, secret, JID)
    before = bindings(world)

    worker(f"update {DEVICE} set state = 'unlinking', unlink_due_at = now(), lease_id = %s", lease)
    worker(f"delete from {DEVICE}")
    worker("select whatsapp_private.end_v1(%s, %s, now(), null, false, 'mine', true)", uuid4(), ended)
    worker("select whatsapp_private.let_go_v1(%s, null)", ended)
    worker("select whatsapp_private.start_unlinks_v1(%s, 50)", uuid4())
    for device in before:
        worker("select whatsapp_private.forget_v1(%s, null)", device["id"])
    bind(worker, own, lease, secret.fingerprint, JID)

    assert bindings(world) == before
    assert world.has_keys(secret)
    assert world.sessions.get(victim).status == "connected"


@pytest.mark.parametrize("how", ["disconnected", "ended"])
def test_the_worker_cannot_bind_keys_to_another_user(world: World, worker: Run, how: str) -> None:
    """The keys of an unlinking device still open its user's WhatsApp."""
    victim, secret = world.user(), Secret("victim")
    if how == "disconnected":
        world.link(victim, secret, JID)
        world.attempts.disconnect(victim)
    else:
        attempt = world.claim(victim)
        world.show(attempt, world.lease(attempt), secret)
        world.store_keys(secret, JID)
        (read,) = worker(f"select deadline from {ATTEMPT} where id = %s", attempt)
        worker(
            "select whatsapp_private.end_v1(%s, %s, %s, null, true, 'mine', true)", uuid4(), attempt, read["deadline"]
        )
    thief = world.user()
    own = world.claim(thief)

    (device,) = worker(f"delete from {DEVICE} where state = 'unlinking' returning fingerprint")
    (keys,) = worker("select whatsapp_private.stored_jid(%s) as jid", device["fingerprint"])
    values = thief, own, secret.fingerprint
    worker(f"insert into {DEVICE} (user_id, attempt_id, fingerprint) values (%s, %s, %s)", *values)
    bind(worker, own, uuid4(), device["fingerprint"], keys["jid"])

    assert keys["jid"] == JID
    assert bindings(world) == []
    assert world.sessions.get(thief).status != "connected"


def test_the_worker_cannot_move_a_device_during_linking(world: World, worker: Run) -> None:
    victim, thief, secret = world.user(), world.user(), Secret("victim")
    attempt, own = world.claim(victim), world.claim(thief)
    world.show(attempt, world.lease(attempt), secret)
    world.store_keys(secret, JID)

    bind(worker, own, uuid4(), secret.fingerprint, JID)

    assert [device["user_id"] for device in bindings(world)] == [victim]
    assert world.sessions.get(thief).status != "connected"


def test_the_worker_cannot_give_an_orphan_to_a_user(world: World, worker: Run) -> None:
    victim, thief, secret = world.user(), world.user(), Secret("victim")
    world.link(victim, secret, JID)
    world.sql("DELETE FROM auth.users WHERE id = %s", victim)
    own = world.claim(thief)

    worker(f"update {DEVICE} set user_id = %s", thief)
    worker(f"update {DEVICE} set state = 'linked'")
    worker(f"update {DEVICE} set jid = %s", "1:1@s.whatsapp.net")
    worker(f"update {DEVICE} set state = 'unlinking', unlink_due_at = now()")
    worker(f"update {DEVICE} set state = 'linked', unlink_due_at = null")
    bind(worker, own, uuid4(), secret.fingerprint, JID)

    assert [(device["user_id"], device["state"]) for device in bindings(world)] == [(None, "unlinking")]


@pytest.mark.parametrize("role", ["whatsapp_api", "whatsapp_worker"])
def test_no_login_links_an_unlinking_device_again(world: World, role: str) -> None:
    victim, secret = world.user(), Secret("victim")
    attempt = world.link(victim, secret, JID)
    world.attempts.disconnect(victim)
    lease = uuid4()
    with logged_in(world, role) as run:
        run(f"update {DEVICE} set state = 'linked'")
        run(f"update {DEVICE} set state = 'linked', unlink_due_at = null where user_id = %s", victim)
        run("select whatsapp_private.claim_v1(%s, %s, 60, 9, '{0}', 99)", victim, attempt)
        bind(run, attempt, lease, secret.fingerprint, JID)
        run("select whatsapp_private.disconnect_v1(%s, %s, 'mine')", uuid4(), victim)
    assert [device["state"] for device in bindings(world)] == ["unlinking"]
    assert world.sessions.get(victim).status == "disconnected"


@pytest.mark.parametrize("role", ["whatsapp_api", "whatsapp_worker"])
def test_no_login_can_revive_an_ended_attempt(world: World, role: str) -> None:
    victim = world.user()
    attempt = world.claim(victim)
    world.open_auth(attempt, "token")
    lease = world.lease(attempt)
    live = world.attempts.get(attempt)
    world.attempts.disconnect(victim)
    before = world.attempt(attempt)
    with logged_in(world, role) as run:
        run(f"update {ATTEMPT} set ended_at = null, outcome = null, deadline = now() + interval '1 day'")
        run(f"delete from {ATTEMPT}")
        run("select whatsapp_private.claim_v1(%s, %s, 60, 9, '{0}', 99)", victim, attempt)
        run("select whatsapp_private.open_phase_v1(%s, 'auth', 'mine', now(), 60)", attempt)
        run("select whatsapp_private.renew_v1(%s, %s, 60, true, null)", attempt, lease)
        run("select whatsapp_private.release_v1(%s, %s, 'mine', true)", attempt, lease)
        run("select whatsapp_private.end_v1(%s, %s, %s, null, false, 'mine', true)", uuid4(), attempt, live.deadline)
        bind(run, attempt, lease, Secret("thief").fingerprint, JID)
        bind(run, attempt, uuid4(), Secret("thief").fingerprint, JID)
    assert world.attempt(attempt) == before
    assert bindings(world) == []


def test_the_worker_clears_tokens_of_ended_attempts_only(world: World, worker: Run) -> None:
    live, ended = world.claim(), world.claim()
    for attempt in (live, ended):
        world.open_auth(attempt, "token")
    world.attempts.disconnect(world.attempt(ended)["user_id"])

    worker(f"update {ATTEMPT} set task_token = 'mine'")
    worker(f"update {ATTEMPT} set task_token = 'mine' where ended_at is not null")
    assert [world.attempt(attempt)["task_token"] for attempt in (live, ended)] == ["token", "token"]
    worker(f"update {ATTEMPT} set task_token = null")
    assert [world.attempt(attempt)["task_token"] for attempt in (live, ended)] == ["token", None]


def test_the_worker_cannot_delete_an_attempt_of_a_session(world: World, worker: Run) -> None:
    user = world.user()
    old = world.claim(user)
    world.attempts.disconnect(user)
    world.age(600)
    newest = world.claim(user)
    world.attempts.disconnect(user)
    live = world.claim()

    worker(f"update {ATTEMPT} set superseded = true")
    worker(f"delete from {ATTEMPT}")

    assert {row["id"] for row in world.sql(f"select id from {ATTEMPT}")} == {newest, live}
    assert old not in (newest, live)


def test_the_worker_cannot_give_up_a_live_attempt_s_device(world: World, worker: Run) -> None:
    shown, linked = Secret("shown"), Secret("linked")
    attempt = world.claim()
    world.show(attempt, world.lease(attempt), shown)
    world.link(world.user(), linked, JID)
    worker(f"update {DEVICE} set state = 'unlinking', unlink_due_at = now()")
    worker(f"delete from {DEVICE}")
    assert (world.bound(shown)["state"], world.bound(linked)["state"]) == ("offered", "linked")


def test_the_worker_cannot_read_a_qr(world: World, worker: Run) -> None:
    """The worker may list the ids of the API's calls, but cannot read their answers by id."""
    victim, secret = world.user(), Secret("victim")
    attempt = world.claim(victim)
    world.show(attempt, world.lease(attempt), secret)
    world.show_row(victim)
    qr = world.sessions.get(victim).qr
    world.attempts.disconnect(world.user())
    seen = [
        *worker("select whatsapp_private.show_session_v1(%s)", victim),
        *worker("select whatsapp_private.note_shown_v1(%s, 0)", victim),
        *worker("select whatsapp_private.attempt_v1(%s)", attempt),
        *worker(f"select * from {DEVICE}"),
        *worker("select whatsapp_private.session_v1(%s)", victim),
        *worker("insert into whatsapp_private.sessions (user_id) values (%s) on conflict (user_id)"
                " do update set version = 1 returning qr_code", victim),
        *worker("update public.whatsapp_sessions set updated_at = now() returning qr_code"),
    ]  # fmt: skip
    assert qr is not None
    assert qr not in str(seen)
    (stored,) = worker("select call_id from whatsapp_private.answers")
    assert worker("select answer from whatsapp_private.answers where call_id = %s", stored["call_id"]) == []
