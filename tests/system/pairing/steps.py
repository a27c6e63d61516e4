"""Steps that several tests of a pairing take."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.support.stack import User


def keys_in(database_url: str) -> dict[str, int]:
    """Count the rows of every table that may have data of a device."""
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = 'whatsapp_engine'"
            " AND tablename <> 'whatsmeow_version' OR tablename = 'devices' AND schemaname = 'whatsapp_private'"
        ).fetchall()
        counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone() for (name,) in tables}
    return {name: count[0] for name, count in counts.items() if count and count[0]}


def connected(user: User, number: str) -> dict[str, Any]:
    """Pair a user with a phone and return the session."""
    assert user.connect().status == 202
    assert user.scan(user.qr(), number).status == 200
    return user.reaches("connected")
