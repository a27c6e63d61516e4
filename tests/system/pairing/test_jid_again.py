"""Two users, one phone and one JID: WhatsApp gives out the JID of a removed device again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import Postgres
from tests.support.stack import PATIENCE_SECONDS, RunningSystem, User
from tests.system.pairing.steps import connected, keys_in

NUMBER = "34622000001"
BOUND = """
SELECT e.jid FROM whatsapp_private.devices d
JOIN whatsapp_engine.whatsmeow_device e ON d.fingerprint = sha256(e.adv_key)
WHERE d.user_id = %s AND d.state = 'linked'
"""


@pytest.fixture
def stack(postgres: Postgres, tmp_path: Path) -> Iterator[RunningSystem]:
    """A system of this test, whose WhatsApp gives every device of a phone the same JID."""
    stack = RunningSystem(tmp_path, "--database-url", postgres.url(postgres.create()))
    stack.sandbox.set_knobs(deviceIndexes=1)
    yield stack
    assert stack.stop() == 0


def test_the_second_user_of_a_jid_is_linked_and_can_leave(stack: RunningSystem) -> None:
    first, second = stack.user(), stack.user()
    connected(first, NUMBER)
    stack.sandbox.unlink(NUMBER)

    connected(second, NUMBER)

    (device,) = stack.devices(NUMBER)
    assert bound(stack, second) == [(device["jid"],)]
    assert bound(stack, first) == []
    first.disconnect()
    first.wait(PATIENCE_SECONDS, "an unlink", lambda _: len(stack.sql("SELECT id FROM whatsapp_private.devices")) == 1)
    assert bound(stack, second) == [(device["jid"],)]
    assert stack.devices(NUMBER) == [device]
    assert second.status()["status"] == "connected"
    second.disconnect()
    second.wait(PATIENCE_SECONDS, "empty device list", lambda _: stack.devices(NUMBER) == [])
    second.wait(PATIENCE_SECONDS, "empty key store", lambda _: keys_in(stack.database_url) == {})


def test_cleanup_unlinks_keys_without_a_binding(stack: RunningSystem) -> None:
    connected(stack.user(), NUMBER)
    stack.sql("DELETE FROM whatsapp_private.devices")
    user = stack.user()
    assert stack.invoke("CleanupFunction")["keys_given_up"] == 1
    user.wait(PATIENCE_SECONDS, "empty device list", lambda _: stack.devices(NUMBER) == [])
    user.wait(PATIENCE_SECONDS, "empty key store", lambda _: keys_in(stack.database_url) == {})


def bound(stack: RunningSystem, user: User) -> list[tuple[object, ...]]:
    """The JID of the keys of the user's binding."""
    return stack.sql(BOUND, user.id)
