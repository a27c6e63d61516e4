"""One runner at a time, with bounded waits, and none of an older release than the database."""

from __future__ import annotations

import psycopg

from infra.migrate import release
from infra.migrate.connection import limit_waits

# Waiting for another runner holds nobody up. Waiting for a lock on a table in use does: everybody queues behind us.
TURN_SECONDS = 75
LOCK_SECONDS = 5
STATEMENT_SECONDS = 60

# Any number does, as long as every runner takes the same and nobody else does.
_LOCK = 0x7768617473617070  # "whatsapp"


def take_turn(connection: psycopg.Connection) -> None:
    """Be the only runner until the end of the transaction.

    The lock ends with the transaction, so it works behind a transaction pooler and cannot be left behind.

    Raises
    ------
    NewerRelease
        A newer release than this one has migrated the database.
    """
    limit_waits(connection, lock=TURN_SECONDS, statement=TURN_SECONDS)
    connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
    release.refuse_newer(connection)
    limit_waits(connection, lock=LOCK_SECONDS, statement=STATEMENT_SECONDS)
