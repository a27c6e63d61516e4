"""Starts a fresh database on a Postgres of its own, and writes its snapshot."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from infra.migrate.catalog_facts import read_facts
from infra.migrate.expected import SNAPSHOT, snapshot
from infra.migrate.up_and_status import up

if TYPE_CHECKING:
    from infra.postgres.server import EmbeddedPostgres


def write_snapshot(path: Path = SNAPSHOT) -> bool:
    """Write the snapshot of a database that the migrations make now, and return whether the file has changed."""
    with fresh_database() as server:
        up(server.url())
        with psycopg.connect(server.url(), autocommit=True) as connection:
            text = snapshot(read_facts(connection))
    changed = not path.exists() or path.read_text(encoding="utf-8") != text
    path.write_text(text, encoding="utf-8")
    return changed


@contextmanager
def fresh_database() -> Iterator[EmbeddedPostgres]:
    """Start a server that has none of our roles, and Supabase's stand-ins in its database."""
    # Imported here, because only `snapshot`, `bundle` and the release need the packages of a server.
    from infra.children import ChildGuard
    from infra.postgres import SUPABASE
    from infra.postgres.server import EmbeddedPostgres

    with tempfile.TemporaryDirectory(prefix="whatsapp-pairing-snapshot-", ignore_cleanup_errors=True) as directory:
        place = Path(directory)
        place.chmod(0o755)  # if root runs this, the server runs as the user nobody
        guard = ChildGuard()
        server = EmbeddedPostgres(place / "data", place / "log", guard, {"synchronous_commit": "off"}, "16")
        try:
            server.start()
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute(SUPABASE.read_bytes())
            yield server
        finally:
            server.stop()
            guard.close()
            server.remove()
