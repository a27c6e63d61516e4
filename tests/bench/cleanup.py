"""Cleanup among a million users, 1 % of each table stale: python -m tests.bench.cleanup

Prints the plan of each sweep, the time of its batches beside one bare statement that does the same at once, and how
long somebody who clicks meanwhile, or writes to one of those very rows, has to wait.
Takes some minutes and 3 GB of disk.
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
from uuid import UUID, uuid4

from whatsapp_pairing.cleaning import BATCH, clean, look
from whatsapp_pairing.database import Connection, Database, T
from whatsapp_pairing.observability import logger
from whatsapp_pairing.repository.attempts import Attempts
from whatsapp_pairing.repository.sessions import Sessions
from whatsapp_pairing.repository.sweeps import Sweeps
from whatsapp_pairing.session import OVERDUE_SECONDS

from infra.migrate import up
from tests.conftest import STANDINS, Postgres
from tests.integration.crowd import fill
from tests.integration.plans import ExplainedDatabase, Plan
from tests.integration.recorder import RecordedWorkflow
from tests.integration.world import LIMIT, WINDOW, World, connect

# The end of all overdue attempts at once, with everything that ending one does.
_END_ALL = f"""
WITH a AS (
  UPDATE whatsapp_private.attempts a SET
    ended_at = now(), outcome = 'scan_timeout', failures = a.failures + 1,
    lease_id = NULL, lease_expires_at = NULL, qr_expires_at = NULL
  WHERE a.ended_at IS NULL AND a.deadline < now() - interval '{OVERDUE_SECONDS} seconds'
  RETURNING a.id, a.user_id
), shown AS (
  INSERT INTO public.whatsapp_sessions AS s (user_id, session_status, qr_code) SELECT user_id, 'error', NULL FROM a
  ON CONFLICT (user_id) DO UPDATE SET session_status = excluded.session_status, qr_code = excluded.qr_code
)
UPDATE whatsapp_private.devices d SET state = 'unlinking', updated_at = now() FROM a WHERE d.attempt_id = a.id
"""
_SWEEPS = ("clear_stuck_rows", "give_up_orphans", "forget_never_scanned", "start_unlinks")
_QUIET_SECONDS = 10.0


class TimedDatabase(Database):
    """Writes down how long each transaction took: no lock was held for longer."""

    def __init__(self, url: str) -> None:
        super().__init__(lambda: url)
        self.taken: list[float] = []

    def run_text_(self, work: Callable[[Connection], T]) -> T:
        began = time.perf_counter()
        try:
            return super().run(work)
        finally:
            self.taken.append(time.perf_counter() - began)


class TimedSweeps(Sweeps):
    """Writes down the batches of each sweep."""

    def __init__(self, database: TimedDatabase) -> None:
        super().__init__(database)
        self.batches: dict[str, list[tuple[int, float]]] = {}

    def _timed(self, name: str, limit: int) -> Any:
        began = time.perf_counter()
        found = getattr(super(), name)(limit)
        size = found if isinstance(found, int) else len(found)
        self.batches.setdefault(name, []).append((size, time.perf_counter() - began))
        return found

    def clear_stuck_rows(self, limit: int) -> int:
        return int(self._timed("clear_stuck_rows", limit))

    def give_up_orphans(self, limit: int) -> int:
        return int(self._timed("give_up_orphans", limit))

    def forget_never_scanned(self, limit: int) -> int:
        return int(self._timed("forget_never_scanned", limit))

    def start_unlinks(self, limit: int) -> list[UUID]:
        return list(self._timed("start_unlinks", limit))


class TimedAttempts(Attempts):
    """Writes down the end of each attempt."""

    def __init__(self, database: TimedDatabase) -> None:
        super().__init__(database)
        self.ends: list[float] = []

    def end(self, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return super().end(*arguments)
        finally:
            self.ends.append(time.perf_counter() - began)


class Person:
    """Somebody who does the same over and over, in a thread of their own, and notes how long it takes."""

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
    """Somebody takes the lock that a write to a stale row takes, and changes nothing."""
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


def show_plans(url: str) -> None:
    """Print how one batch of each sweep is found."""
    database = ExplainedDatabase(lambda: url, "ANALYZE, BUFFERS")
    sweeps = Sweeps(database)
    print("\n| sweep | rows | found by | pages | ms |\n|---|---|---|---|---|")
    for name in ("overdue_attempts", *_SWEEPS, "count"):
        sweeps.count() if name == "count" else getattr(sweeps, name)(BATCH)
        plan: Plan = database.plans[-1]
        top = plan.explained["Plan"]
        pages = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
        found = ", ".join(sorted(plan.indexes)) + "".join(f", **whole {table}**" for table in sorted(plan.read_whole))
        print(f"| {name} | {top['Actual Rows']:.0f} | {found} | {pages} | {plan.explained['Execution Time']:.1f} |")
    database.close()


def in_one_go(url: str) -> dict[str, float]:
    """Do each sweep in one statement and return the seconds."""
    seconds = {}
    with connect(url) as connection:
        connection.execute("SET statement_timeout = 0")
        began = time.perf_counter()
        connection.execute(_END_ALL)
        seconds["overdue_attempts"] = time.perf_counter() - began

    class Patient(Database):
        def run(self, work: Callable[[Connection], T]) -> T:
            with connect(url) as connection:
                return work(connection)

    sweeps = Sweeps(Patient(lambda: url))
    for name in _SWEEPS:
        began = time.perf_counter()
        getattr(sweeps, name)(10_000_000)
        seconds[name] = time.perf_counter() - began
    return seconds


def measure(url: str, bare: dict[str, float]) -> None:
    """Clean while people are about, and print what it took."""
    with connect(url) as admin:
        world = World(url, admin)
        quiet, busy = Person(url, clicks(world)), Person(url, clicks(world))
        quiet_locker, locker = Person(url, locks(world)), Person(url, locks(world))
        with quiet.at_work(), quiet_locker.at_work():
            time.sleep(_QUIET_SECONDS)
        print(f"\na dry run says: {look(world.sweeps).as_dict()}")
        database = TimedDatabase(url)
        attempts, sweeps = TimedAttempts(database), TimedSweeps(database)
        began = time.perf_counter()
        with busy.at_work(), locker.at_work(), redirect_stdout(io.StringIO()):  # the metrics
            swept = clean(attempts, sweeps, RecordedWorkflow(), lambda: 120 - (time.perf_counter() - began))
        seconds = time.perf_counter() - began
        print(f"one run: {swept.as_dict()} in {seconds:.1f} s; its longest transaction {ms(max(database.taken))} ms")
        print(
            "\n| sweep | rows | batches | median batch, ms | longest, ms | all, ms | at once, ms |"
            "\n|---|---|---|---|---|---|---|"
        )
        sweeps.batches = {"overdue_attempts (one each)": [(1, end) for end in attempts.ends]} | sweeps.batches
        for name, batches in sweeps.batches.items():
            rows, taken = sum(size for size, _ in batches), [one for _, one in batches]
            once = bare[name.partition(" ")[0]]
            print(f"| {name} | {rows} | {len(batches)} | {ms(statistics.median(taken))} | {ms(max(taken))} | "
                  f"{ms(sum(taken))} | {ms(once)} |")  # fmt: skip
        print("\n| meanwhile | calls | median, ms | p99, ms | longest, ms |\n|---|---|---|---|---|")
        print(f"| connect, status, disconnect; no cleanup | {quiet} |")
        print(f"| connect, status, disconnect; cleanup | {busy} |")
        print(f"| the lock for a write to a stale row; no cleanup | {quiet_locker} |")
        print(f"| the lock for a write to a stale row; cleanup | {locker} |")
        world.close()
        database.close()


def main() -> int:
    """Fill, copy, run and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cleanup")
    parser.add_argument("--users", type=int, default=1_000_000)
    users = parser.parse_args().users
    logger.setLevel("WARNING")  # the end of each attempt is a line
    server = Postgres("16", shared_buffers="512MB", max_wal_size="4GB")
    try:
        name = server.create()
        with server.connect(name) as connection:
            connection.execute(STANDINS.read_bytes())
        up(server.url(name))
        began = time.perf_counter()
        with connect(server.url(name)) as admin:
            world = World(server.url(name), admin)
            fill(world, users, users // 100, users // 10)
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
    sys.exit(main())
