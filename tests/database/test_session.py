"""The session that a user sees, also after the user has changed the session row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.session.session import Session, Status

from tests.support.adv_secret import Secret
from tests.support.logins import act_as
from tests.support.repositories import World
from tests.support.shown_pairing import JID


def shown(world: World) -> tuple[UUID, UUID, UUID, Secret]:
    """Start an attempt and show its QR. Return the user, the attempt and the lease."""
    user, secret = world.user(), Secret()
    attempt_id = world.claim(user)
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    world.show_row(user)
    return user, attempt_id, lease, secret


def as_user(world: World, user: UUID, statement: str) -> int:
    """Run a statement as PostgREST does for this user. Return the number of changed rows."""
    with psycopg.connect(world.url) as connection:
        act_as(connection, json.dumps({"sub": str(user), "role": "authenticated"}))
        return connection.execute(statement.encode()).rowcount


def test_a_user_without_an_attempt_is_disconnected(world: World) -> None:
    assert world.sessions.get(world.user()) == Session(Status.DISCONNECTED, datetime.now(UTC))
    assert world.sessions.get(uuid4()) == Session(Status.DISCONNECTED, datetime.now(UTC))


def test_a_session_has_the_time_of_the_database_s_clock(world: World) -> None:
    user, *_ = shown(world)
    for one in (user, world.user()):
        before = world.value("SELECT clock_timestamp()")
        assert before < world.sessions.get(one).read_at < world.value("SELECT clock_timestamp()")


def test_a_user_does_not_see_another_user_s_row(world: World) -> None:
    user, *_ = shown(world)
    assert world.sessions.get(world.user()).qr is None
    assert world.sessions.get(user).qr is not None


def test_an_expired_qr_is_hidden(world: World) -> None:
    user, attempt_id, lease, _ = shown(world)
    world.age(62)
    assert world.leases.renew(attempt_id, lease)
    assert world.sessions.get(user).qr is not None  # the next QR will come
    world.age(2)
    assert world.leases.renew(attempt_id, lease)
    session = world.sessions.get(user)
    assert (session.status, session.qr, session.qr_expires_at) == (Status.CONNECTING, None, None)


def test_a_qr_is_hidden_when_its_linker_s_lease_ends(world: World) -> None:
    user, *_ = shown(world)
    world.age(9)
    assert (world.sessions.get(user).status, world.sessions.get(user).qr) == (Status.CONNECTING, None)


def test_a_session_names_the_live_or_the_failed_attempt(world: World) -> None:
    user, attempt_id, *_ = shown(world)
    shown_attempt, live = world.sessions.get(user).attempt, world.attempts.get(attempt_id)
    assert shown_attempt is not None
    assert live is not None
    assert (shown_attempt.id, shown_attempt.number, shown_attempt.deadline) == (attempt_id, 1, live.deadline)
    world.attempts.end(live, Reason.SCAN_TIMEOUT)
    failed = world.sessions.get(user)
    assert (failed.status, failed.reason) == (Status.ERROR, Reason.SCAN_TIMEOUT)
    assert failed.attempt is not None
    assert failed.attempt.id == attempt_id


def test_a_new_attempt_hides_the_last_ones_reason(world: World) -> None:
    user, attempt_id, *_ = shown(world)
    live = world.attempts.get(attempt_id)
    assert live is not None
    world.attempts.end(live, Reason.SCAN_TIMEOUT)
    world.age(1000)
    world.claim(user)
    session = world.sessions.get(user)
    assert (session.status, session.reason) == (Status.CONNECTING, None)


EDITS = {
    "deleted": "DELETE FROM public.whatsapp_sessions",
    "forged": (
        "UPDATE public.whatsapp_sessions SET session_status = 'connected', phone_number = '1', qr_code = 'mine', "
        "connected_at = now(), id = gen_random_uuid(), updated_at = 'infinity', created_at = '-infinity'"
    ),
    "cleared": "UPDATE public.whatsapp_sessions SET session_status = 'disconnected', qr_code = NULL",
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_user_who_edits_the_row_while_pairing_still_connects(world: World, edit: str) -> None:
    user, attempt_id, lease, secret = shown(world)
    before = world.snapshot("whatsapp_private.attempts", "whatsapp_private.devices")
    assert as_user(world, user, EDITS[edit]) == 1
    world.sessions.get(user)  # the call must not fail, whatever the row says
    assert world.snapshot("whatsapp_private.attempts", "whatsapp_private.devices") == before

    world.leases.show_qr(attempt_id, lease, secret.text(2), 20, secret.fingerprint)
    assert world.session_rows.write(user, 1)
    assert world.sessions.get(user).qr == secret.text(2)
    assert as_user(world, user, EDITS[edit]) == 1
    world.store_keys(secret, JID)
    assert world.leases.scanned(attempt_id, lease, JID)
    assert world.leases.connected(attempt_id, lease, JID)

    session = world.sessions.get(user)
    assert (session.status, session.phone_number, session.qr) == (Status.CONNECTED, "5215550009", None)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_the_session_row_changes_no_session(world: World, edit: str) -> None:
    user, *_ = shown(world)
    before = world.sessions.get(user)

    as_user(world, user, EDITS[edit])

    assert world.sessions.get(user) == before
    assert before.status is Status.WAITING_QR


def test_an_old_row_that_says_connected_reads_as_disconnected(world: World) -> None:
    user = world.user()
    world.sql("INSERT INTO public.whatsapp_sessions (user_id, session_status) VALUES (%s, 'connected')", user)
    assert world.sessions.get(user).status is Status.DISCONNECTED


def test_a_user_can_change_no_owner_and_no_row_of_another(world: World) -> None:
    user, *_ = shown(world)
    stranger = world.user()
    before = world.snapshot()
    for edit in EDITS.values():
        assert as_user(world, stranger, edit) == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_user(world, user, f"UPDATE public.whatsapp_sessions SET user_id = '{stranger}'")
    for table in ("whatsapp_private.attempts", "whatsapp_private.devices", "whatsapp_engine.whatsmeow_device"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_user(world, user, f"SELECT FROM {table}")
    assert world.snapshot() == before
