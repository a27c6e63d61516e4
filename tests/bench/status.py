"""Measures the time that our code adds to a status poll: ``make bench WHAT=status``.

Two loops take turns, so that both see the same machine. One calls the handler in this process, as Lambda's runtime
client does. The other calls the same database function by psycopg alone.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from infra.migrate import up
from infra.postgres import SUPABASE
from tests.bench.measuring import recorded
from tests.support.handlers import ROOT, Context, event, load
from tests.support.postgres import Postgres

_SESSION = "SELECT * FROM whatsapp_private.session_v1(%s)"
ROUNDS = 8
POLLS = 500


def main() -> int:
    """Run and print."""
    postgres = Postgres("16")
    try:
        url = postgres.url(postgres.create())
        user = prepare(url)
        os.environ |= {"DATABASE_URL": url, "POWERTOOLS_SERVICE_NAME": "bench", "POWERTOOLS_LOG_LEVEL": "WARNING"}
        happened = event("status")
        happened["requestContext"]["authorizer"]["lambda"] = {"userId": str(user), "expiresAt": str(2**40)}
        app, context = load(ROOT / "functions" / "status" / "app.py", "bench_status"), Context()
        with psycopg.connect(url, autocommit=True, row_factory=dict_row, prepare_threshold=None) as connection:
            assert app.handler(happened, context)["statusCode"] == 200
            taken = {"handler": [0.0, 0.0], "bare psycopg": [0.0, 0.0]}
            for _ in range(ROUNDS):
                measure(lambda: app.handler(happened, context), taken["handler"])
                measure(lambda: connection.execute(_SESSION, (user,)).fetchone(), taken["bare psycopg"])
    finally:
        postgres.stop()
    count = ROUNDS * POLLS
    print("| a status poll | requests per second | per second of this process's CPU |\n|---|---|---|")
    for name, (wall, cpu) in taken.items():
        print(f"| {name} | {count / wall:,.0f} | {count / cpu:,.0f} |")
    (ours, ours_cpu), (theirs, theirs_cpu) = taken.values()
    print(f"\nOurs takes {ours / theirs:.2f} of the bare time and {ours_cpu / theirs_cpu:.2f} of its CPU.")
    return 0


def prepare(url: str) -> UUID:
    """Make a database, and a user whose QR shows."""
    user = uuid4()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SUPABASE.read_bytes())
        up(url)
        connection.execute("INSERT INTO auth.users (id, email) VALUES (%s, 'bench@example.test')", (user,))
        connection.execute(
            "INSERT INTO whatsapp_private.sessions (user_id, qr_code) VALUES (%s, %s)",
            (user, "https://wa.me/settings/linked_devices#" + "x" * 230),
        )
        connection.execute(
            "INSERT INTO whatsapp_private.attempts (id, user_id, number, deadline, lease_expires_at, qr_expires_at)"
            " VALUES (%s, %s, 1, now() + '1 h', now() + '1 h', now() + '1 h')",
            (uuid4(), user),
        )
    return user


def measure(work: Callable[[], object], taken: list[float]) -> None:
    """Measure the wall and CPU seconds of many calls."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(POLLS):
        work()
    taken[0] += time.perf_counter() - wall
    taken[1] += time.process_time() - cpu


if __name__ == "__main__":
    sys.exit(recorded("status", "Status polls", main))
