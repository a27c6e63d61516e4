"""A storm of random calls: threads call everything that touches a few users' rows at once.

Deadlocks and errors are counted where they happen: ``Database.run`` repeats a call that was the victim of a deadlock,
so its caller would not notice. Leases, pauses and windows are so short that each of them ends many times.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

from whatsapp_pairing.keeper import devices
from whatsapp_pairing.pairing import attempts, leases, session_rows

from tests.support.storm_errors import Errors
from tests.support.storm_thread import Gust, Pair
from tests.support.world import World

THREADS = 8
USERS = 6

# By the kind of call. A row that somebody has locked is not written, and a user who is deleted in the same moment gets
# no attempt, no session and no row.
EXPECTED = {"write_row": {"55P03", "23503", "WA001"}, "claim": {"23503"}, "sweep": {"23503"}, "edit_row": {"23503"}}


class Storm:
    """Random calls on one database.

    Parameters
    ----------
    seed : int
        Of the choices. The order in which the threads come is the machine's.
    """

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._seed = world, seed
        self.errors = Errors()
        self.calls: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        self.pairs = [Pair(world.user()) for _ in range(USERS)]

    def blow(self, calls: int, seconds: float) -> None:
        """Make so many calls, or as many as the time allows."""
        until = time.monotonic() + seconds
        with (
            mock.patch.object(attempts, "PAUSES", (0,)),
            mock.patch.object(attempts, "MOST_PER_HOUR", 1_000_000),
            mock.patch.object(leases, "LEASE_SECONDS", 0.1),
            mock.patch.object(devices, "LEASE_SECONDS", 0.1),
            mock.patch.object(session_rows, "metrics"),
            mock.patch.object(session_rows, "logger"),
            ThreadPoolExecutor(THREADS) as threads,
        ):
            chances = [random.Random(f"{self._seed} {number}") for number in range(THREADS)]
            for made in threads.map(lambda chance: self._work(chance, calls // THREADS, until), chances):
                self.calls += made

    def unexpected(self) -> dict[tuple[str, str], int]:
        """Return the errors that no call may meet, and how often each was met."""
        return {
            (kind, what): often for (kind, what), often in self.errors.met.items() if what not in EXPECTED.get(kind, ())
        }

    def _work(self, chance: random.Random, calls: int, until: float) -> Counter[str]:
        made: Counter[str] = Counter()
        with Gust(self.pairs, chance, self._world.url, self.errors) as gust:
            while made.total() < calls and time.monotonic() < until:
                made[gust.call()] += 1
            self.changed.update(gust.changed)
        return made
