"""Calculates the cost of a pairing and of a connected session at AWS's list prices: ``make bench WHAT=cost``.

A real local run gives the state transitions, the invocations and their seconds. The rest is arithmetic, and its
assumptions are printed. The database runs on the same machine, so a database that is further away costs more seconds.
Free tiers and the start of new instances are not counted.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench.measuring import Work, recorded, running, transitions, work
from tests.support.stack import RunningSystem

# In US dollars, for us-east-1 and arm64, at the first tier of each price.
GB_SECOND = 0.0000133334
INVOCATION = 0.20e-6
TRANSITION = 25e-6
REQUEST = 1.00e-6
LOGGED_GIGABYTE = 0.50
# Per month. These costs do not depend on the number of users.
FIXED = {"secrets (3)": 3 * 0.40, "dashboard": 3.00, "alarms (28 metrics)": 28 * 0.10, "metrics (26)": 26 * 0.30}

# The behaviour of the users, as assumed.
PAIRINGS = 4  # measured side by side
THINKING_SECONDS = 20.0  # from the QR to the scan: a person unlocks the phone and finds the menu
PAGE_MINUTES = 5  # per month, with the settings page open while connected
POLL_SECONDS = 30  # what `pollAfterMs` says while connected
CLEANUPS = 30 * 24 * 12

USERS = (1_000, 1_000_000)


def main() -> int:
    """Measure and print."""
    with running() as stack:
        pair(stack, "34680000000", thinking=0)  # so that the instances have started
        before, entered_before = work(stack), transitions(stack).total()
        with ThreadPoolExecutor(PAIRINGS) as people:
            requests = sum(people.map(lambda number: pair(stack, f"3468000000{number}"), range(1, PAIRINGS + 1)))
        time.sleep(3)  # until the linkers' logs have their REPORT lines
        entered = (transitions(stack).total() - entered_before) / PAIRINGS
        taken = {name: per(done, before.get(name), PAIRINGS) for name, done in work(stack).items()}
        logged = sum(path.stat().st_size for path in (stack.data_dir / "logs").glob("*.log")) / (PAIRINGS + 1)
        # Each poll also invokes the authorizer.
        poll = sum(taken[name].gb_seconds / taken[name].invocations for name in ("authorizer", "status"))
    taken.pop("cleanup", None)
    print(f"One pairing whose person scans {THINKING_SECONDS:.0f} s after the QR came ({PAIRINGS} measured):\n")
    print("| function | invocations | GB-seconds |\n|---|---|---|")
    for name, done in taken.items():
        if done.invocations:
            print(f"| {name} | {done.invocations:.1f} | {done.gb_seconds:.3f} |")
    pairing = {
        "state transitions": entered * TRANSITION,
        "Lambda time": sum(done.gb_seconds for done in taken.values()) * GB_SECOND,
        "Lambda invocations": sum(done.invocations for done in taken.values()) * INVOCATION,
        "HTTP requests": requests / PAIRINGS * REQUEST,
        "logs": logged / 1e9 * LOGGED_GIGABYTE,
    }
    print(
        f"\n{entered:.1f} state transitions, {requests / PAIRINGS:.0f} HTTP requests, {logged / 1000:.0f} kB of logs.\n"
    )
    print("| of a pairing | US dollars a million |\n|---|---|")
    for name, dollars in pairing.items():
        print(f"| {name} | {dollars * 1e6:,.2f} |")
    polls = PAGE_MINUTES * 60 / POLL_SECONDS
    session = polls * (REQUEST + 2 * INVOCATION + poll * GB_SECOND)
    fixed = sum(FIXED.values()) + CLEANUPS * (INVOCATION + 1.0 * 0.25 * GB_SECOND)
    print(f"| **together** | **{sum(pairing.values()) * 1e6:,.2f}** |")
    print(f"\nA connected session: {polls:.0f} polls a month, {session * 1e6:,.2f} dollars a million.")
    print(f"Independent of use: {fixed:.2f} dollars a month ({', '.join(FIXED)}, cleanup every 5 minutes).\n")
    print("| users, each pairing once a month and connected | US dollars a month |\n|---|---|")
    for users in USERS:
        print(f"| {users:,} | {fixed + users * (sum(pairing.values()) + session):,.2f} |")
    return 0


def pair(stack: RunningSystem, number: str, thinking: float = THINKING_SECONDS) -> int:
    """Pair as the page does, and poll at the pace that the answers name. Return the number of HTTP requests."""
    user = stack.user()
    status = user.connect().json()
    requests, drawn, scan_at = 1, None, float("inf")
    while status["status"] != "connected":
        time.sleep(status["pollAfterMs"] / 1000)
        status = user.status()
        requests += 1
        if status["qr"] not in (None, drawn):
            drawn = status["qr"]
            user.call("GET", "qr")
            requests += 1
            scan_at = min(scan_at, time.monotonic() + thinking)
        if drawn and time.monotonic() >= scan_at:
            user.scan(drawn, number)
            scan_at = float("inf")
    return requests


def per(done: Work, before: Work | None, pairings: int) -> Work:
    """Return the work since ``before``, divided by the pairings."""
    earlier = before or Work(0, 0)
    share = (done.invocations - earlier.invocations) / pairings
    return Work(share, (done.gb_seconds - earlier.gb_seconds) / pairings)


if __name__ == "__main__":
    sys.exit(recorded("cost", "Cost", main))
