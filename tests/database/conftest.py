"""One migrated database for the session, emptied before each test; directly and through PgBouncer."""

from tests.support.databases import admin, pytest_generate_tests, transaction_pooler, way, world

__all__ = ["admin", "pytest_generate_tests", "transaction_pooler", "way", "world"]
