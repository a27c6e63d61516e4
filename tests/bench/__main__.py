"""Pairs for real on the local stack and prints how long the steps take and what they cost.

Figures of one machine in one run: compare them with each other, not with another machine's.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3

from tests.stack import Stack, User, call

PAIRINGS = 12


@contextmanager
def running() -> Iterator[Stack]:
    """The whole system on a database of its own, in a directory that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="whatsapp-pairing-bench-") as directory:
        stack = Stack(Path(directory))
        try:
            yield stack
        finally:
            stack.stop()


def pair(user: User, number: str) -> dict[str, float]:
    """Pair once; returns seconds by step."""
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


def transitions(stack: Stack) -> Counter[str]:
    """Count the states that all executions have entered."""
    endpoint = call("GET", f"{stack.url}/dev/config").json()["awsEndpoint"]
    states = boto3.client(
        "stepfunctions",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    counted: Counter[str] = Counter()
    for machine in states.list_state_machines()["stateMachines"]:
        for execution in states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]:
            for event in states.get_execution_history(executionArn=execution["executionArn"])["events"]:
                if "stateEnteredEventDetails" in event:
                    counted[event["stateEnteredEventDetails"]["name"]] += 1
    return counted


def show(name: str, seconds: list[float]) -> None:
    """Print median and 95th percentile in milliseconds."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    print(f"{name:<28} median {statistics.median(ordered) * 1000:6.0f} ms   p95 {p95 * 1000:6.0f} ms")


def main() -> int:
    """Run and print."""
    with running() as stack:
        pair(stack.user(), "34690000000")  # the cold one
        taken = [pair(stack.user(), f"3469000{number:04}") for number in range(1, PAIRINGS + 1)]
        user = stack.user()
        polls = []
        for _ in range(300):
            began = time.perf_counter()
            user.status()
            polls.append(time.perf_counter() - began)
        print(f"{PAIRINGS} pairings, one after the other, warm")
        for step in taken[0]:
            show(step, [one[step] for one in taken])
        show("one status poll", polls)
        entered = transitions(stack)
        print(f"state transitions a pairing   {sum(entered.values()) / (PAIRINGS + 1):.1f}   {dict(entered)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
