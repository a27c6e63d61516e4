"""One migrated database that tests share, and one for a single test."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.databases import admin, transaction_pooler, way, world

__all__ = ["admin", "transaction_pooler", "way", "world"]


@pytest.fixture
def connection(migrated_url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection to a migrated database of this test."""
    with psycopg.connect(migrated_url) as connection:
        yield connection
        connection.rollback()
