"""However many users there are: nothing that a user waits for, and no sweep, reads a table from end to end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from whatsapp_pairing.cleaning import clean, look
from whatsapp_pairing.pairing import connect, disconnect
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.devices import Devices
from whatsapp_pairing.repository.sessions import Sessions
from whatsapp_pairing.repository.sweeps import Sweeps

from .crowd import fill
from .plans import ExplainedDatabase
from .recorder import RecordedWorkflow
from .world import LIMIT, WINDOW, World
from .world import connect as administer

USERS, STALE = 50_000, 500
Work = Callable[[World, ExplainedDatabase], object]


@pytest.fixture(scope="module")
def crowd(postgres: Any, migrated_template: str) -> Iterator[World]:
    """A database with 50 000 users."""
    with postgres.database(migrated_template) as url, administer(url) as admin:
        world = World(url, admin)
        fill(world, USERS, STALE)
        yield world
        world.close()


def a_user(world: World) -> Any:
    return world.value(
        "SELECT user_id FROM whatsapp_private.devices WHERE state = 'linked' AND user_id IS NOT NULL LIMIT 1"
    )


def sweep(world: World, database: ExplainedDatabase) -> None:
    clean(Attempts(database), Sweeps(database), RecordedWorkflow(), lambda: 120.0)


def count(world: World, database: ExplainedDatabase) -> None:
    look(Sweeps(database))


def click(world: World, database: ExplainedDatabase) -> None:
    connect(world.user(), WINDOW, LIMIT, Attempts(database), Sessions(database), RecordedWorkflow())


def poll(world: World, database: ExplainedDatabase) -> None:
    Sessions(database).get(a_user(world))


def give_up(world: World, database: ExplainedDatabase) -> None:
    assert disconnect(a_user(world), Attempts(database), RecordedWorkflow())


def unlink(world: World, database: ExplainedDatabase) -> None:
    user = a_user(world)
    (device,) = world.attempts.disconnect(user).devices
    devices, lease = Devices(database), uuid4()
    taken = devices.take(device, lease)
    assert taken
    world.sql("INSERT INTO whatsapp_engine.whatsmeow_lid_map VALUES (%s, %s)", "lid", taken.jid.partition(":")[0])
    devices.forget(device, lease)


@pytest.mark.parametrize("work", [sweep, count, click, poll, give_up, unlink], ids=lambda work: work.__name__)
def test_no_statement_reads_a_big_table_from_end_to_end(crowd: World, work: Work) -> None:
    database = ExplainedDatabase(lambda: crowd.url)
    crowd.databases.append(database)

    work(crowd, database)

    assert database.plans
    for plan in database.plans:
        whole = plan.read_whole - {"whatsmeow_lid_map", "whatsmeow_privacy_tokens"}  # as good as empty here
        assert not whole, f"{whole} in: {plan.statement}\n{json.dumps(plan.explained, indent=1)}"
