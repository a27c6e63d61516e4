"""One migrated database for all runs of the model."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.logins import connect
from tests.support.repositories import World


@pytest.fixture(scope="module")
def world(postgres: Any, migrated_template: str) -> Iterator[World]:
    """One database for all runs."""
    with postgres.database(migrated_template) as url, connect(url) as admin:
        world = World(url, admin)
        # The trigger waits for an unlink up to fifty times. No other process of the model runs meanwhile, so once is
        # enough.
        trigger = world.value("SELECT pg_get_functiondef('whatsapp_private.keep_keys_apart_v1'::regproc)")
        world.sql(trigger.replace("1..50", "1..1"))
        logging.disable(logging.CRITICAL)
        yield world
        logging.disable(logging.NOTSET)
        world.close()
