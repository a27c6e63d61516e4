"""The user disconnects at each step of a pairing, and afterwards."""

from __future__ import annotations

from uuid import uuid4

import pytest
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import Phase
from whatsapp_pairing.pairing.disconnect import disconnect
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, WINDOW, World, entered


def test_disconnect_without_an_attempt_changes_nothing(world: World) -> None:
    user, workflow = world.user(), RecordedWorkflow()
    assert not disconnect(user, world.services(workflow))
    assert world.row(user) is None


@pytest.mark.parametrize("step", ["claimed", "opened", "leased", "shown", "stored", "scanned", "auth"])
def test_disconnect_at_every_step_ends_the_pairing(world: World, step: str) -> None:
    user, secret, workflow = world.user(), Secret(), RecordedWorkflow()
    attempt_id = world.claim(user)
    steps = ["claimed", "opened", "leased", "shown", "stored", "scanned", "auth"]
    reached = steps.index(step)
    if reached >= 1:
        world.attempts.open_phase(attempt_id, entered(Phase.QR, "token-qr"), WINDOW)
    if reached >= 2:
        lease = world.lease(attempt_id)
    if reached >= 3:
        world.show(attempt_id, lease, secret)
    if reached >= 4:
        world.store_keys(secret, "5215550009:3@s.whatsapp.net")
    if reached >= 5:
        assert world.leases.scanned(attempt_id, lease, "5215550009:3@s.whatsapp.net")
    if reached >= 6:
        world.open_auth(attempt_id)

    assert disconnect(user, world.services(workflow))

    token = [None, "token-qr", "token-qr", "token-qr", "token-qr", "token-qr", "token-auth"][reached]
    assert workflow.calls[0] == ("fail", token)
    assert workflow.of("call_unlinks") == [[world.bound(secret)["id"]] if reached >= 4 else []]
    session = world.sessions.get(user)
    assert (session.status, session.reason) == (Status.DISCONNECTED, Reason.CANCELLED)
    ended = world.attempt(attempt_id)
    assert (ended["outcome"], ended["failures"], ended["lease_expires_at"]) == ("cancelled", 0, None)
    assert not disconnect(user, world.services(RecordedWorkflow()))
    world.age(6)
    assert world.attempts.claim(user, uuid4(), WINDOW, LIMIT).claimed


def test_disconnect_of_a_linked_user(world: World) -> None:
    user, other, secret, kept, workflow = world.user(), world.user(), Secret(), Secret(), RecordedWorkflow()
    world.link(user, secret)
    world.link(other, kept, "5215550002:1@s.whatsapp.net")

    assert disconnect(user, world.services(workflow))

    assert workflow.of("call_unlinks") == [[world.bound(secret)["id"]]]
    session = world.sessions.get(user)
    assert (session.status, session.phone_number, session.connected_at) == (Status.DISCONNECTED, None, None)
    assert world.sessions.get(other).status is Status.CONNECTED
    assert world.bound(kept)["state"] == "linked"


def test_disconnect_of_a_linked_user_who_deleted_the_row(world: World) -> None:
    user, secret, workflow = world.user(), Secret(), RecordedWorkflow()
    world.link(user, secret)
    world.sql("DELETE FROM public.whatsapp_sessions")

    assert disconnect(user, world.services(workflow))
    assert workflow.of("call_unlinks") == [[world.bound(secret)["id"]]]


def test_disconnect_of_a_deleted_user_finds_nothing(world: World) -> None:
    user = world.user()
    world.claim(user)
    world.sql("DELETE FROM auth.users WHERE id = %s", user)

    assert not disconnect(user, world.services(RecordedWorkflow()))
    assert world.value("SELECT count(*) FROM whatsapp_private.sessions") == 0


def test_disconnect_works_while_the_workflow_is_away(world: World) -> None:
    user = world.user()
    world.claim(user)
    assert disconnect(user, world.services(RecordedWorkflow(unavailable={"fail"})))
    assert world.sessions.get(user).status is Status.DISCONNECTED


def test_disconnect_after_an_error_clears_it(world: World) -> None:
    user = world.user()
    world.fail(world.claim(user))
    assert disconnect(user, world.services(RecordedWorkflow()))
    assert world.sessions.get(user).status is Status.DISCONNECTED


def test_disconnect_clears_a_qr_from_an_edited_session_row(world: World) -> None:
    user, secret = world.user(), Secret()
    attempt_id = world.claim(user)
    world.show(attempt_id, world.lease(attempt_id), secret)
    world.show_row(user)
    world.sql("UPDATE public.whatsapp_sessions SET session_status = 'disconnected'")
    disconnect(user, world.services(RecordedWorkflow()))
    row = world.row(user)
    assert row is not None
    assert row["qr_code"] is None
