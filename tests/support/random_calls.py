"""Random calls of several threads at once. They look for deadlocks, so all calls concern the same few users.

``Database.run`` repeats a call that a deadlock has ended, so the caller of ``run`` sees no error. Therefore errors are
counted inside the database class. Leases, pauses and windows are so short that each of them ends many times.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

from whatsapp_pairing.keeper import devices
from whatsapp_pairing.pairing import attempts, leases, session_rows

from tests.support.counted_errors import Errors
from tests.support.random_caller import Caller, Known
from tests.support.repositories import World

THREADS = 8
USERS = 6

# The SQLSTATEs that a kind of call may meet. A write passes over a locked session row. A user who is deleted meanwhile
# gets no attempt and no session row.
EXPECTED = {"write_row": {"55P03", "23503", "WA001"}, "claim": {"23503"}, "sweep": {"23503"}, "edit_row": {"23503"}}


class RandomCalls:
    """Random calls on one database.

    Parameters
    ----------
    seed : int
        Seed of the choices. The machine decides in which order the threads run.
    """

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._seed = world, seed
        self.errors = Errors()
        self.made: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        self.pairs = [Known(world.user()) for _ in range(USERS)]

    def run(self, calls: int, seconds: float) -> None:
        """Make this many calls, or as many as the time allows."""
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
                self.made += made

    def unexpected(self) -> dict[tuple[str, str], int]:
        """Return the errors that were not expected, and how often each was met."""
        return {
            (kind, what): often for (kind, what), often in self.errors.met.items() if what not in EXPECTED.get(kind, ())
        }

    def _work(self, chance: random.Random, calls: int, until: float) -> Counter[str]:
        made: Counter[str] = Counter()
        with Caller(self.pairs, chance, self._world.url, self.errors) as caller:
            while made.total() < calls and time.monotonic() < until:
                made[caller.call()] += 1
            self.changed.update(caller.changed)
        return made
