"""One migrated database for the session, as the integration tests have it; and one of one's own."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.databases import admin, transaction_pooler, way, world

__all__ = ["admin", "transaction_pooler", "way", "world"]


@pytest.fixture
def connection(migrated_url: str) -> Iterator[psycopg.Connection]:
    """The superuser's connection to a migrated database that nobody else sees."""
    with psycopg.connect(migrated_url) as connection:
        yield connection
        connection.rollback()
