"""Counts round trips to Postgres, and their time on a slow network: ``make bench WHAT=exchanges`` (about 2 minutes).

The whole system runs. Each of its three login roles reaches Postgres through a proxy, which counts and delays. All
instances are warm. Each round tries every delay once, and the times are medians over the rounds. So a busy moment of
the machine affects all delays alike. The times include about 0.2 ms of the proxy for each exchange.

``ARGS="--json FILE"`` saves the figures. ``ARGS="--against FILE"`` prints saved figures beside the new ones.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.bench.measuring import recorded, running
from tests.bench.network import Network, network
from tests.support.postgres import Postgres
from tests.support.stack import PATIENCE_SECONDS, RunningSystem, User, call

# connect, status and disconnect log in as the first role, the other functions as the second, the engine as the third.
ROLES = ("api", "worker", "engine")
API = ("api",)
BEHIND = ("worker", "engine")
COLUMNS = (*ROLES, "logins")

DELAYS_MS = (0, 1, 10)
LIVES = 3
WAITS = 2
WAITING_SECONDS = 5
TIMED_SECONDS = 80.0
POLLS = 5
CLICKS = 2

Figures = dict[str, Any]


class System:
    """The running system, the network of each role, and the figures so far."""

    def __init__(self, stack: RunningSystem, networks: dict[str, Network]) -> None:
        self._stack = stack
        self._networks = networks
        self._numbers = iter(range(34_670_000_000, 34_680_000_000))
        self.exchanges: dict[str, list[dict[str, int]]] = defaultdict(list)
        self.seconds: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))

    def delay(self, milliseconds: int) -> None:
        """Set the delay of each direction."""
        for between in self._networks.values():
            between.delay_seconds = milliseconds / 1000

    @contextmanager
    def counted(self, what: str, roles: Iterable[str] = ROLES) -> Iterator[None]:
        """Count the exchanges of these roles until the block ends."""
        networks = [self._networks[role] for role in roles]
        before = [(between.exchanges, between.logins) for between in networks]
        yield
        seen = {
            role: between.exchanges - then for role, between, (then, _) in zip(roles, networks, before, strict=True)
        }
        seen["logins"] = sum(between.logins - then for between, (_, then) in zip(networks, before, strict=True))
        self.exchanges[what].append(seen)

    @contextmanager
    def timed(self, what: str, delay: int) -> Iterator[None]:
        """Measure the time until the block ends."""
        began = time.perf_counter()
        yield
        self.seconds[what][delay].append(time.perf_counter() - began)

    def user(self) -> User:
        """Return a new user. The first poll lets the authorizer remember the token."""
        user = self._stack.user()
        user.status()
        return user

    def scan(self, user: User) -> None:
        """Scan the user's QR and wait until the user is connected."""
        assert user.scan(user.qr(), str(next(self._numbers))).status == 200
        user.reaches("connected")

    def settle(self, quiet_seconds: float = 1.0) -> None:
        """Wait until nothing runs and no statement is sent for as long as the workflow needs to start a function."""
        until = time.monotonic() + PATIENCE_SECONDS
        quiet_since, seen = time.monotonic(), self._asked()
        while time.monotonic() - quiet_since < quiet_seconds:
            assert time.monotonic() < until, "the system does not come to rest"
            time.sleep(0.02)
            now, instances = self._asked(), call("GET", f"{self._stack.url}/dev/functions").json()
            if now != seen or any(one["busySince"] for one in instances):
                quiet_since, seen = time.monotonic(), now

    def clean(self) -> None:
        """Run one cleanup, as its schedule does."""
        self._stack.invoke("CleanupFunction")

    def _asked(self) -> int:
        return sum(between.exchanges for between in self._networks.values())


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.exchanges")
    parser.add_argument("--json", metavar="FILE", type=Path, help="save the figures")
    parser.add_argument("--against", metavar="FILE", type=Path, help="print these saved figures beside those of now")
    given = parser.parse_args()
    before = json.loads(given.against.read_text()) if given.against else {}
    now = measured()
    if given.json:
        given.json.write_text(json.dumps(now, indent=1) + "\n")
    print_exchanges(now["exchanges"], before.get("exchanges", {}))
    print_times(now["milliseconds"], before.get("milliseconds", {}), now["rounds"])
    return 0


def measured() -> Figures:
    """Measure everything, and return the figures in the form in which they are saved."""
    with system() as running_system:
        live_once(running_system)  # so that the instances have started and connected
        wait(running_system, 0)
        running_system.exchanges.clear()
        for _ in range(LIVES):
            live_once(running_system)
        for _ in range(WAITS):
            wait(running_system, WAITING_SECONDS)
        rounds, until = 0, time.monotonic() + TIMED_SECONDS
        while time.monotonic() < until:
            for delay in random.sample(DELAYS_MS, len(DELAYS_MS)):
                take_times(running_system, delay)
            rounds += 1
    return {
        "exchanges": {what: _extremes(seen) for what, seen in running_system.exchanges.items()},
        "milliseconds": {what: _figures(taken) for what, taken in running_system.seconds.items()},
        "rounds": rounds,
    }


@contextmanager
def system() -> Iterator[System]:
    """The system on a Postgres of its own, with a network for each role."""
    with ExitStack() as resources:
        postgres = Postgres("16")
        resources.callback(postgres.stop)
        url = postgres.url(postgres.create())
        networks = {role: resources.enter_context(network(postgres.port)) for role in ROLES}
        options = ["--database-url", url]
        for role, between in networks.items():
            options += [f"--{role}-database-url", between.url(url, f"whatsapp_{role}")]
        stack = resources.enter_context(running(*options))
        fresh = System(stack, networks)
        fresh.settle()  # the first cleanup
        yield fresh


def click(user: User) -> None:
    """Click "Connect WhatsApp". The click must succeed."""
    assert user.connect().status in (200, 202)


def live_once(system: System) -> None:
    """Count one user's life, from the first look to the unlinked device.

    The calls come one after the other, so all exchanges of the API's role belong to the present call. The figure ``a
    pairing`` has neither these exchanges nor the polls. The phone scans at once. So a pairing ends before the linker
    renews its lease for the first time, unless the machine is very slow.
    """
    user = system.user()
    with system.counted("status: never clicked", API):
        user.status()
    with system.counted("a pairing behind its click", BEHIND):
        with system.counted("connect: first click", API):
            click(user)
        with system.counted("connect: an attempt runs", API):
            click(user)
        with system.counted("status: an attempt runs", API):
            user.status()
        user.qr()
        with system.counted("status: a QR is shown", API):
            user.status()
        system.scan(user)
        system.settle()
    with system.counted("status: connected", API):
        user.status()
    with system.counted("connect: connected", API):
        click(user)
    with system.counted("cleanup, nothing to do"):
        system.clean()
    end(system, user, "disconnect: connected")


def wait(system: System, seconds: float) -> None:
    """Count what happens while nobody scans, and the end of a pairing by the user."""
    user = system.user()
    click(user)
    user.qr()
    time.sleep(1)  # until the workflow has opened the scan window
    with system.counted(f"{seconds} s of waiting for a scan", BEHIND):
        time.sleep(seconds)
    end(system, user, "disconnect: a QR is shown")


def end(system: System, user: User, what: str) -> None:
    """Disconnect, and count what follows until the device is gone."""
    with system.counted(f"{what}; what follows", BEHIND):
        with system.counted(what, API):
            assert user.disconnect().status == 200
        system.settle()


def take_times(system: System, delay: int) -> None:
    """Take the times of one pairing on a network with this delay."""
    user = system.user()
    system.delay(delay)
    with system.timed("click to QR", delay):
        with system.timed("connect: first click", delay):
            click(user)
        user.wait(PATIENCE_SECONDS, "QR", lambda status: status["qr"] is not None, every=0.01)
    for _ in range(POLLS):
        with system.timed("status: a QR is shown", delay):
            user.status()
    for _ in range(CLICKS):
        with system.timed("connect: an attempt runs", delay):
            click(user)
    system.delay(0)
    system.scan(user)
    system.settle(0.2)


def print_exchanges(now: Figures, before: Figures) -> None:
    """Print the counts, or a range if the runs differ."""
    print(f"| exchanges with Postgres | {' | '.join(COLUMNS)} |\n|---{'|---' * len(COLUMNS)}|")
    for what, counts in sorted(now.items()):
        earlier = before.get(what, {})
        cells = [_change(_range(earlier.get(column)), _range(counts.get(column))) for column in COLUMNS]
        print(f"| {what} | {' | '.join(cells)} |")


def print_times(now: Figures, before: Figures, rounds: int) -> None:
    """Print the medians, and how many successive exchanges explain the times of the slowest network.

    The number of exchanges comes from the fastest rounds, because other work on the machine disturbs them least.
    """
    print(f"\n| median ms of {rounds} rounds | {' | '.join(f'{it} ms each way' for it in DELAYS_MS)} | in a row |")
    print(f"|---{'|---' * len(DELAYS_MS)}|---|")
    for what, times in now.items():
        earlier = before.get(what, {})
        cells = [_compared(earlier.get(str(delay)), times[str(delay)]) for delay in DELAYS_MS]
        print(f"| {what} | {' | '.join(cells)} | {_change(_in_a_row(earlier), _in_a_row(times))} |")
    print("\nIn a row: so many exchanges, one after the other, are what the slowest network adds to the fastest round.")


def _extremes(seen: list[dict[str, int]]) -> dict[str, list[int]]:
    return {column: [min(one[column] for one in seen), max(one[column] for one in seen)] for column in seen[0]}


def _figures(taken: dict[int, list[float]]) -> dict[str, dict[str, float]]:
    return {
        str(delay): {"median": 1000 * statistics.median(seconds), "fastest": 1000 * min(seconds)}
        for delay, seconds in taken.items()
    }


def _range(extremes: list[int] | None) -> str:
    return "–".join(map(str, dict.fromkeys(extremes or [])))


def _compared(before: dict[str, float] | None, now: dict[str, float]) -> str:
    median = now["median"]
    return f"{before['median']:.1f} → {median:.1f} (×{median / before['median']:.2f})" if before else f"{median:.1f}"


def _in_a_row(times: dict[str, dict[str, float]]) -> str:
    if not times:
        return ""
    first, last = DELAYS_MS[0], DELAYS_MS[-1]
    added = times[str(last)]["fastest"] - times[str(first)]["fastest"]
    return f"{added / (2 * (last - first)):.1f}"


def _change(before: str, now: str) -> str:
    return f"{before} → {now}" if before else now


if __name__ == "__main__":
    sys.exit(recorded("exchanges", "Round trips", main))
