"""Measures many pairings at once: ``make bench WHAT=load``.

First twelve people pair, one after the other. Then fifty people see a QR at the same time and scan it together, while
five hundred others poll their status at the pace that the API names. All of them and the system share the cores of this
machine.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import psycopg

from infra.local.functions.processes import resident_megabytes
from tests.bench.measuring import percentile, recorded, running
from tests.support.postgres import Postgres
from tests.support.stack import RunningSystem, User

ALONE = 12
TOGETHER = 50
POLLERS = 500
# Fifty engines that start together on a few cores need much longer than one.
PATIENCE_SECONDS = 240.0

_CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid()
"""
_ENDS = "SELECT outcome, count(*) FROM whatsapp_private.attempts GROUP BY outcome"
_LINKERS = "SELECT legs, count(*) FROM whatsapp_private.attempts GROUP BY legs ORDER BY legs"


@dataclass(frozen=True)
class PairingTimes:
    """The seconds of each step of one pairing."""

    click_to_qr: float
    scan_to_connected: float


@dataclass
class Seen:
    """Observations during the run: memory of each linker in MB, most linkers and connections, seconds of each poll."""

    megabytes: dict[int, float] = field(default_factory=dict)
    linkers: int = 0
    connections: int = 0
    polls: list[float] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)


def main() -> int:
    """Run and print."""
    postgres = Postgres("16")
    try:
        url = postgres.url(postgres.create())
        cap = f"MaxLivePairings={TOGETHER}"
        with (
            running("--database-url", url, "--parameter", cap) as stack,
            psycopg.connect(url, autocommit=True) as database,
        ):
            pair(stack.user(), 0, threading.Barrier(1))  # so that the instances have started
            alone = [pair(stack.user(), number, threading.Barrier(1)) for number in range(1, ALONE + 1)]
            people = [stack.user() for _ in range(TOGETHER)]
            pollers = [stack.user() for _ in range(POLLERS)]
            seen, together_now = Seen(), threading.Barrier(TOGETHER)
            with beside(lambda over: watch(stack, database, seen, over)), beside(lambda over: ask(pollers, seen, over)):
                began = time.perf_counter()
                with ThreadPoolExecutor(TOGETHER) as threads:
                    together = list(threads.map(pair, people, range(100, 100 + TOGETHER), [together_now] * TOGETHER))
                took = time.perf_counter() - began
            ends, linkers = (database.execute(query).fetchall() for query in (_ENDS, _LINKERS))
    finally:
        postgres.stop()
    print(f"{TOGETHER} pairings side by side: {took:.0f} s. Outcomes of all {ALONE + TOGETHER + 1}: {dict(ends)}.")
    print(f"Linkers that a pairing took: {dict(linkers)}.\n")
    print("| seconds | alone: median | p95 | under load: median | p95 |\n|---|---|---|---|---|")
    for name in ("click_to_qr", "scan_to_connected"):
        values = [[getattr(one, name) for one in some] for some in (alone, together)]
        cells = " | ".join(f"{statistics.median(it):.2f} | {percentile(it):.2f}" for it in values)
        print(f"| {name.replace('_', ' ')} | {cells} |")
    print(f"\n{POLLERS} other users asked for their status meanwhile: {dict(seen.answers)} answers by HTTP status,")
    print(f"median {statistics.median(seen.polls):.3f} s, p95 {percentile(seen.polls):.3f} s.")
    weights = list(seen.megabytes.values())
    print(f"At most {seen.linkers} linkers at once; the largest that each was, with its engine:", end=" ")
    print(f"median {statistics.median(weights):.0f} MB, most {max(weights):.0f} MB.")
    print(f"At most {seen.connections} database connections at once, of all functions and engines.")
    return 0 if dict(ends) == {"connected": ALONE + TOGETHER + 1} else 1


def pair(user: User, number: int, everybody: threading.Barrier) -> PairingTimes:
    """Pair as the page does, at the pace that the answers name. Scan when all people see a QR."""
    clicked_at = time.perf_counter()
    status = user.connect().json()
    while status.get("qr") is None:
        assert time.perf_counter() - clicked_at < PATIENCE_SECONDS, status
        time.sleep(status.get("pollAfterMs", 400) / 1000)
        status = user.status()
    shown_at = time.perf_counter()
    everybody.wait(PATIENCE_SECONDS)
    assert user.scan(user.qr(PATIENCE_SECONDS), f"3467{number:07}").status == 200
    scanned_at = time.perf_counter()
    user.wait(PATIENCE_SECONDS, "connected", lambda it: it.get("status") == "connected", every=0.25)
    return PairingTimes(shown_at - clicked_at, time.perf_counter() - scanned_at)


@contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run work in a thread of its own until the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def watch(stack: RunningSystem, database: psycopg.Connection, seen: Seen, over: threading.Event) -> None:
    """Note the processes and connections twice a second."""
    while not over.wait(0.5):
        weights = resident_megabytes([one["pid"] for one in stack.instances("linker")])
        seen.linkers = max(seen.linkers, len(weights))
        for pid, megabytes in weights.items():
            seen.megabytes[pid] = max(seen.megabytes.get(pid, 0.0), megabytes)
        ((connections,),) = database.execute(_CONNECTIONS).fetchall()
        seen.connections = max(seen.connections, connections)


def ask(users: list[User], seen: Seen, over: threading.Event) -> None:
    """Let every user poll the status at the pace that the answers name."""
    asyncio.run(_ask(users, seen, over))


async def _ask(users: list[User], seen: Seen, over: threading.Event) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def poll(user: User, delay: float) -> None:
            url, headers = f"{user.stack.url}/api/whatsapp/status", {"Authorization": f"Bearer {user.token}"}
            await asyncio.sleep(delay)
            while not over.is_set():
                began = time.perf_counter()
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with client.get(url, headers=headers) as answer:
                        seen.answers[answer.status] += 1
                        pause = (await answer.json()).get("pollAfterMs", 1000) / 1000
                        seen.polls.append(time.perf_counter() - began)
                resting_until = time.perf_counter() + pause
                while time.perf_counter() < resting_until and not over.is_set():
                    await asyncio.sleep(0.5)

        await asyncio.gather(*(poll(user, random.uniform(0, 15)) for user in users))


if __name__ == "__main__":
    sys.exit(recorded("load", "Many at once", main))
