"""Measures cleanup with a million users, of whom each sweep finds 1 %: python -m tests.bench.cleanup

Prints the plan of each sweep, and the time of its batches beside the time of one statement for all rows. Also prints
how long users wait who click meanwhile, or who write to one of the same rows. Takes some minutes and 4 GB of disk.
"""

from __future__ import annotations

import argparse
import io
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from whatsapp_pairing.cleanup import ATTEMPT_DAYS, BATCH, Cleaning, Sweeps, count_only
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime.database import Connection, Database, T
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.sweep import Batch
from whatsapp_pairing.session.sessions import Sessions

from infra.migrate import up
from infra.postgres import SUPABASE
from tests.bench.measuring import recorded
from tests.support.explained_database import ExplainedDatabase, Plan
from tests.support.logins import connect
from tests.support.many_rows import fill
from tests.support.postgres import Postgres
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, WINDOW, World

# ``many_rows`` does not make these rows: tokens of ended attempts, old attempts, answers, and counters that have grown.
_LEAVE = """
UPDATE whatsapp_private.attempts SET task_token = id::text
WHERE id IN (SELECT id FROM whatsapp_private.attempts WHERE ended_at IS NOT NULL ORDER BY ended_at LIMIT {stale});
INSERT INTO whatsapp_private.attempts (id, user_id, number, started_at, deadline, ended_at, outcome, superseded)
SELECT gen_random_uuid(), c.user_id, 0, t.at, t.at, t.at, 'cancelled', true
FROM (SELECT user_id FROM whatsapp_private.attempts WHERE outcome = 'connected' LIMIT {stale}) c,
  (SELECT now() - interval '100 days' AS at) t;
INSERT INTO whatsapp_private.answers (call_id, answer, answered_at)
SELECT gen_random_uuid(), '{{}}', now() - interval '1 h' FROM generate_series(1, {stale});
UPDATE public.whatsapp_sessions SET messages_sent = 1, last_seen = now()
WHERE id IN (SELECT id FROM public.whatsapp_sessions WHERE session_status = 'connected' LIMIT {stale});
VACUUM ANALYZE whatsapp_private.attempts;
VACUUM ANALYZE whatsapp_private.answers;
VACUUM ANALYZE public.whatsapp_sessions;
"""
# The sweeps in the order of cleanup.
_SWEEPS = (
    "overdue_attempts", "clear_tokens", "delete_answers", "delete_attempts", "give_up_orphans", "give_up_strays",
    "forget_never_scanned", "start_unlinks", "take_counters", "mark_wrong_rows", "rows_behind",
)  # fmt: skip
# These sweeps change the rows that another statement has found.
_FINDS = {"take_counters": "counted_users", "mark_wrong_rows": "users_with_wrong_rows"}
_QUIET_SECONDS = 10.0


class Timed:
    """Notes the time of each call of some methods of a repository, and the number of rows it finds."""

    def __init__(self, repository: Any, *names: str) -> None:
        self.calls: dict[str, list[tuple[int, float]]] = {}
        for name in names:
            setattr(repository, name, partial(self._timed, name, getattr(repository, name)))

    def _timed(self, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        found = method(*arguments)
        rows = found.done if isinstance(found, Batch) else found
        size = len(rows) if isinstance(rows, list) else int(rows) if isinstance(rows, int) else 1
        self.calls.setdefault(name, []).append((size, time.perf_counter() - began))
        return found


class Person:
    """A thread that repeats one action and notes the time of each repetition."""

    def __init__(self, url: str, does: Callable[[Database], Iterator[None]]) -> None:
        self._database = Database(lambda: url)
        self._does = does
        self._stop = Event()
        self._thread = Thread(target=self._live)
        self.waits: list[float] = []

    @contextmanager
    def at_work(self) -> Iterator[Person]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()
            self._database.close()

    def _live(self) -> None:
        actions = self._does(self._database)
        while not self._stop.is_set():
            began = time.perf_counter()
            next(actions)
            self.waits.append(time.perf_counter() - began)
            self._stop.wait(0.005)

    def __str__(self) -> str:
        ordered = sorted(self.waits)
        p99 = ordered[round(0.99 * (len(ordered) - 1))]
        return f"{len(ordered)} | {ms(statistics.median(ordered))} | {ms(p99)} | {ms(ordered[-1])}"


def clicks(world: World) -> Callable[[Database], Iterator[None]]:
    """A new user connects, looks and disconnects."""
    users = [
        row["id"] for row in world.sql("INSERT INTO auth.users SELECT FROM generate_series(1, 20000) RETURNING id")
    ]

    def live(database: Database) -> Iterator[None]:
        attempts, sessions = Attempts(database), Sessions(database)
        for user in users:
            attempts.claim(user, uuid4(), WINDOW, LIMIT)
            yield
            sessions.get(user)
            yield
            attempts.disconnect(user)
            yield

    return live


def locks(world: World) -> Callable[[Database], Iterator[None]]:
    """Take the lock that a write to a stale session row takes, and change nothing."""
    rows = world.sql("SELECT id FROM public.whatsapp_sessions WHERE session_status = 'waiting_qr' ORDER BY updated_at")
    lock = "SELECT FROM public.whatsapp_sessions WHERE id = %(id)s FOR UPDATE"

    def live(database: Database) -> Iterator[None]:
        for row in itertools.cycle(rows):
            database.run(partial(_execute, lock, row))
            yield

    return live


def _execute(statement: str, parameters: dict[str, Any], connection: Connection) -> None:
    connection.execute(statement, parameters)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"


def sweep(sweeps: Sweeps, name: str, limit: int) -> None:
    """Do one batch of a sweep."""
    if name in _FINDS:
        getattr(sweeps, name)(getattr(sweeps, _FINDS[name])(limit))
    else:
        getattr(sweeps, name)(limit, *([ATTEMPT_DAYS] if name == "delete_attempts" else []))


def show_plans(url: str) -> None:
    """Print the plan of one batch of each sweep."""
    database = ExplainedDatabase(lambda: url, "ANALYZE, BUFFERS")
    sweeps = Sweeps(database)
    print("\n| sweep | rows | found by | pages | ms |\n|---|---|---|---|---|")
    for name in (*_SWEEPS, "count"):
        sweeps.count(ATTEMPT_DAYS) if name == "count" else sweep(sweeps, name, BATCH)
        plan: Plan = database.plans[-1]
        top = plan.explained["Plan"]
        pages = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
        found = ", ".join(sorted(plan.indexes)) + "".join(f", **whole {table}**" for table in sorted(plan.read_whole))
        print(f"| {name} | {top['Actual Rows']:.0f} | {found} | {pages} | {plan.explained['Execution Time']:.1f} |")
    database.close()


def in_one_go(url: str) -> dict[str, float]:
    """Do each sweep in one batch, and return the seconds."""
    seconds = {}

    class Patient(Database):
        def run(self, work: Callable[[Connection], T]) -> T:
            with connect(url) as connection:
                return work(connection)

    sweeps = Sweeps(Patient(lambda: url))
    for name in _SWEEPS:
        began = time.perf_counter()
        sweep(sweeps, name, 10_000_000)
        seconds[name] = time.perf_counter() - began
    return seconds


def measure(url: str, bare: dict[str, float]) -> None:
    """Run cleanup while users click and write, and print the times."""
    with connect(url) as admin:
        world = World(url, admin)
        quiet, busy = Person(url, clicks(world)), Person(url, clicks(world))
        quiet_locker, locker = Person(url, locks(world)), Person(url, locks(world))
        with quiet.at_work(), quiet_locker.at_work():
            time.sleep(_QUIET_SECONDS)
        print(f"\na dry run says: {count_only(world.sweeps).as_dict()}")
        database = world.new_database("whatsapp_worker")
        attempts, sweeps, rows = Attempts(database), Sweeps(database), SessionRows(database)
        timed = [Timed(attempts, "end"), Timed(sweeps, *_SWEEPS), Timed(rows, "write")]
        began = time.perf_counter()
        services = Services(attempts, rows, RecordedWorkflow())
        cleaning = Cleaning(services, sweeps, lambda: 300 - (time.perf_counter() - began))
        with busy.at_work(), locker.at_work(), redirect_stdout(io.StringIO()):  # without the lines of the metrics
            swept = cleaning.run()
        print(f"one run: {swept.as_dict()} in {time.perf_counter() - began:.1f} s")
        print(
            "\n| calls of | rows | calls | median, ms | longest, ms | all, ms | in one batch, ms |"
            "\n|---|---|---|---|---|---|---|"
        )
        for name, calls in itertools.chain.from_iterable(one.calls.items() for one in timed):
            found, taken = sum(size for size, _ in calls), [seconds for _, seconds in calls]
            once = ms(bare[name]) if name in bare else ""
            print(f"| {name} | {found} | {len(calls)} | {ms(statistics.median(taken))} | {ms(max(taken))} | "
                  f"{ms(sum(taken))} | {once} |")  # fmt: skip
        print("\n| meanwhile | calls | median, ms | p99, ms | longest, ms |\n|---|---|---|---|---|")
        print(f"| connect, status, disconnect; no cleanup | {quiet} |")
        print(f"| connect, status, disconnect; cleanup | {busy} |")
        print(f"| the lock for a write to a stale row; no cleanup | {quiet_locker} |")
        print(f"| the lock for a write to a stale row; cleanup | {locker} |")
        world.close()


def main() -> int:
    """Fill, copy, run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cleanup")
    parser.add_argument("--users", type=int, default=1_000_000)
    users = parser.parse_args().users
    logger.setLevel("WARNING")  # without a line for the end of each attempt
    server = Postgres("16", shared_buffers="512MB", max_wal_size="4GB")
    try:
        name = server.create()
        with server.connect(name) as connection:
            connection.execute(SUPABASE.read_bytes())
        up(server.url(name))
        began = time.perf_counter()
        with connect(server.url(name)) as admin:
            world = World(server.url(name), admin)
            fill(world, users, users // 100, users // 10)
            for statement in _LEAVE.format(stale=users // 100).split(";\n"):
                world.sql(statement)
            world.close()
        print(f"{users} users, {users // 100} for each sweep; filled in {time.perf_counter() - began:.0f} s")
        with server.database(name) as url:
            show_plans(url)
        with server.database(name) as url:
            bare = in_one_go(url)
        with server.database(name) as url:
            measure(url, bare)
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(recorded("cleanup", "Cleanup", main))
