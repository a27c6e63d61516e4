"""What a user sees, whatever they do to their own row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.repository import sessions as module
from whatsapp_pairing.repository.leases import Linked
from whatsapp_pairing.session import Session, Status

from .world import Secret, World

JID = "5215550009:3@s.whatsapp.net"


def shown(world: World) -> tuple[UUID, UUID, UUID, Secret]:
    """A user with a live attempt, its lease and a QR in sight."""
    user, secret = world.user(), Secret()
    attempt_id = world.claim(user)
    lease = world.lease(attempt_id)
    world.show(attempt_id, lease, secret)
    return user, attempt_id, lease, secret


def as_user(world: World, user: UUID, statement: str) -> int:
    """Run a statement as PostgREST would for this user; returns how many rows it touched."""
    with psycopg.connect(world.url) as connection:
        connection.execute(
            "SELECT set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)",
            (json.dumps({"sub": str(user), "role": "authenticated"}),),
        )
        return connection.execute(statement.encode()).rowcount


def test_a_user_without_anything_is_disconnected(world: World) -> None:
    assert world.sessions.get(world.user()) == Session(Status.DISCONNECTED, datetime.now(UTC))
    assert world.sessions.get(uuid4()) == Session(Status.DISCONNECTED, datetime.now(UTC))


def test_a_session_says_when_it_was_read_by_the_databases_clock(world: World) -> None:
    user, *_ = shown(world)
    for one in (user, world.user()):
        before = world.value("SELECT clock_timestamp()")
        assert before < world.sessions.get(one).read_at < world.value("SELECT clock_timestamp()")


def test_a_user_does_not_see_anothers_row(world: World) -> None:
    user, *_ = shown(world)
    assert world.sessions.get(world.user()).qr is None
    assert world.sessions.get(user).qr is not None


def test_row_level_security_holds_when_our_own_where_does_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, *_ = shown(world)
    monkeypatch.setattr(module, "SESSION", module.SESSION.replace("%(user)s", f"'{victim}'"))

    assert world.sessions.get(world.user()).status is Status.DISCONNECTED
    assert world.sessions.get(victim).status is Status.WAITING_QR  # the statement as such finds the row


def test_the_role_does_not_outlive_the_reading(world: World) -> None:
    database = world.databases[0]
    world.sessions.get(world.user())
    role = database.run(lambda connection: connection.execute("SELECT current_user AS role").fetchone())
    assert role == {"role": "whatsapp_api"}


def test_an_expired_qr_is_hidden(world: World) -> None:
    user, attempt_id, lease, _ = shown(world)
    world.age(62)
    assert world.leases.renew(attempt_id, lease)
    assert world.sessions.get(user).qr is not None  # the next one is on its way
    world.age(2)
    assert world.leases.renew(attempt_id, lease)
    session = world.sessions.get(user)
    assert (session.status, session.qr, session.qr_expires_at) == (Status.CONNECTING, None, None)


def test_a_qr_goes_with_the_linker_that_showed_it(world: World) -> None:
    user, *_ = shown(world)
    world.age(9)
    assert (world.sessions.get(user).status, world.sessions.get(user).qr) == (Status.CONNECTING, None)


def test_the_live_attempt_is_named_and_the_failed_one_too(world: World) -> None:
    user, attempt_id, *_ = shown(world)
    live = world.sessions.get(user).attempt
    assert live is not None
    assert live.id == attempt_id
    world.attempts.end(live, Reason.SCAN_TIMEOUT)
    failed = world.sessions.get(user)
    assert (failed.status, failed.reason) == (Status.ERROR, Reason.SCAN_TIMEOUT)
    assert failed.attempt is not None
    assert failed.attempt.id == attempt_id


def test_a_new_attempt_hides_the_last_ones_reason(world: World) -> None:
    user, *_ = shown(world)
    live = world.sessions.get(user).attempt
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
def test_a_user_who_edits_the_row_in_the_middle_still_connects(world: World, edit: str) -> None:
    user, attempt_id, lease, secret = shown(world)
    before = world.snapshot("whatsapp_private.attempts", "whatsapp_private.devices")
    assert as_user(world, user, EDITS[edit]) == 1
    world.sessions.get(user)  # whatever it says, it answers
    assert world.snapshot("whatsapp_private.attempts", "whatsapp_private.devices") == before

    world.leases.show_qr(attempt_id, lease, secret.text(2), 20, secret.fingerprint)
    assert world.sessions.get(user).qr == secret.text(2)
    assert as_user(world, user, EDITS[edit]) == 1
    world.store_keys(secret, JID)
    assert world.leases.scanned(attempt_id, lease, Linked(JID, secret.fingerprint))
    assert world.leases.connected(attempt_id, lease, Linked(JID, secret.fingerprint), "5215550009")

    session = world.sessions.get(user)
    assert (session.status, session.phone_number, session.qr) == (Status.CONNECTED, "5215550009", None)


def test_a_live_attempt_is_not_shown_as_disconnected_because_the_row_is_gone(world: World) -> None:
    user, attempt_id, *_ = shown(world)
    as_user(world, user, EDITS["deleted"])

    session = world.sessions.get(user)

    assert session.status is Status.CONNECTING
    assert session.attempt is not None
    assert session.attempt.id == attempt_id


def test_a_user_cannot_touch_anothers_row_nor_give_away_their_own(world: World) -> None:
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
