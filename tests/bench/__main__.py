"""Counts exchanges, pairs in the local system, and prints the times of the steps and their costs.

The figures come from one machine in one run. Compare them with each other, and not with those of another machine.
"""

from __future__ import annotations

import statistics
import sys
import time

from tests.bench import exchanges
from tests.bench.measuring import percentile, recorded, running, transitions
from tests.support.stack import User

PAIRINGS = 12


def pair(user: User, number: str) -> dict[str, float]:
    """Pair once, and return the seconds of each step."""
    clicked_at = time.perf_counter()
    attempt = user.connect().json()["attempt"]
    answered_at = time.perf_counter()
    qr = user.wait(30, "QR", lambda status: status["qr"] is not None, every=0.01)["qr"]
    shown_at = time.perf_counter()
    user.scan(qr, number)
    scanned_at = time.perf_counter()
    user.wait(30, "connected", lambda status: status["status"] == "connected", every=0.01)
    connected_at = time.perf_counter()
    assert attempt["number"] == 1
    return {
        "connect answers": answered_at - clicked_at,
        "click to QR in status": shown_at - clicked_at,
        "scan to connected": connected_at - scanned_at,
    }


def show(name: str, seconds: list[float]) -> None:
    """Print median and 95th percentile in milliseconds."""
    print(f"| {name} | {statistics.median(seconds) * 1000:.0f} | {percentile(seconds) * 1000:.0f} |")


def main() -> int:
    """Run and print."""
    with running() as stack:
        pair(stack.user(), "34690000000")  # the first pairing starts the instances
        taken = [pair(stack.user(), f"3469000{number:04}") for number in range(1, PAIRINGS + 1)]
        user = stack.user()
        polls = []
        for _ in range(300):
            began = time.perf_counter()
            user.status()
            polls.append(time.perf_counter() - began)
        print(f"{PAIRINGS} pairings, warm.\n\n| milliseconds | median | p95 |\n|---|---|---|")
        for step in taken[0]:
            show(step, [one[step] for one in taken])
        show("one status poll", polls)
        entered = transitions(stack)
        print(f"\nState transitions of a pairing: {entered.total() / (PAIRINGS + 1):.1f}.")
    return 0


if __name__ == "__main__":
    sys.exit(
        recorded("exchanges", "Round trips", exchanges.main) or recorded("", "Pairings, one after the other", main)
    )
