"""One migrated database for the session, as the integration tests have it."""

from tests.integration.conftest import admin, world

__all__ = ["admin", "world"]
