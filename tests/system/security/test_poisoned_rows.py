"""Sixty users write session rows that cleanup must correct. One run corrects them and does all its other work."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from whatsapp_pairing.cleanup import Cleaning

from tests.support.cleanup import everything, stale_everything
from tests.support.logins import act_as
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import World, open_world

POISONED, EACH = 60, 3
LIMIT = "ALTER TABLE public.whatsapp_sessions DROP CONSTRAINT whatsapp_sessions_qr_code_is_short"
POISON = """
INSERT INTO public.whatsapp_sessions (user_id, session_status, updated_at, qr_code)
VALUES (auth.uid(), %s, '2001-01-01', repeat('x', %s))
"""


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    """A database of this test."""
    yield from open_world(migrated_url)


@pytest.mark.parametrize(("status", "size"), [("connecting", 16_384), ("waiting_qr", 5_000_000)])
def test_one_run_of_cleanup_does_all_its_work(world: World, status: str, size: int) -> None:
    if size > 16_384:
        world.sql(LIMIT)  # as in a product that has dropped this check
    stale_everything(world, EACH)
    poisoned = [world.user() for _ in range(POISONED)]
    with psycopg.connect(world.url) as connection:
        for user in poisoned:
            with connection.transaction():
                act_as(connection, json.dumps({"sub": str(user), "role": "authenticated"}))
                connection.execute(POISON, (status, size))

    swept = Cleaning(world.services(RecordedWorkflow()), world.sweeps, lambda: 120.0).run()

    assert swept.as_dict() == everything(EACH).as_dict() | {"rows_written": EACH + POISONED}
    rows = world.sql("SELECT session_status, qr_code FROM public.whatsapp_sessions WHERE user_id = ANY (%s)", poisoned)
    assert rows == [{"session_status": "disconnected", "qr_code": None}] * POISONED


def test_the_length_limit_refuses_long_qr_texts(world: World) -> None:
    with psycopg.connect(world.url) as connection:
        act_as(connection, json.dumps({"sub": str(world.user()), "role": "authenticated"}))
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(POISON, ("connecting", 16_385))
