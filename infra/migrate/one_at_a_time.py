"""Lets one `up` work at a time, limits its waits, and stops an `up` of an older release than the database."""

from __future__ import annotations

import psycopg

from infra.migrate import release
from infra.migrate.connection import limit_waits

# `up` may wait long for another `up`, because nobody waits behind it then. It must not wait long for a lock on a
# table, because all statements that need the table wait behind it then.
TURN_SECONDS = 75
LOCK_SECONDS = 5
STATEMENT_SECONDS = 60

# Every `up` uses this number for its lock. Nobody else should use it.
_LOCK = 0x7768617473617070  # "whatsapp"


def take_turn(connection: psycopg.Connection) -> None:
    """Wait until no other `up` works, and keep others waiting until the transaction ends.

    The lock ends with the transaction, so it works behind a transaction pooler, and a dead process leaves no lock.

    Raises
    ------
    NewerRelease
        A newer release than this one has migrated the database.
    """
    limit_waits(connection, lock=TURN_SECONDS, statement=TURN_SECONDS)
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
    release.refuse_newer(connection)
    limit_waits(connection, lock=LOCK_SECONDS, statement=STATEMENT_SECONDS)
