"""Starts the system that is measured, and counts what it does."""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.documents.figures import record
from tests.support.stack import RunningSystem

FIGURES = Path(__file__).with_name("figures.md")

_REPORT = re.compile(r"^REPORT .*Duration: ([\d.]+) ms\tMemory Size: (\d+) MB", re.MULTILINE)


@dataclass(frozen=True)
class Work:
    """The sum of the invocations of one function. Lambda bills `gb_seconds`."""

    invocations: float
    gb_seconds: float


@contextmanager
def running(*arguments: str) -> Iterator[RunningSystem]:
    """The whole system on a database of its own, in a directory that is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="whatsapp-pairing-bench-") as directory:
        stack = RunningSystem(Path(directory), *arguments)
        try:
            yield stack
        finally:
            stack.stop()


def recorded(what: str, section: str, main: Callable[[], int]) -> int:
    """Run a benchmark. Without arguments, its figures replace those in ``figures.md``; with some, it only prints."""
    command = f"make bench WHAT={what}" if what else "make bench"
    return main() if sys.argv[1:] else record(FIGURES, command, section, main)


def percentile(values: list[float], share: float = 0.95) -> float:
    """Return the value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * len(ordered)))]


def transitions(stack: RunningSystem) -> Counter[str]:
    """Count the states that all executions have entered."""
    states = stack.aws("stepfunctions")
    counted: Counter[str] = Counter()
    for machine in states.list_state_machines()["stateMachines"]:
        for execution in states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]:
            for event in states.get_execution_history(executionArn=execution["executionArn"])["events"]:
                if "stateEnteredEventDetails" in event:
                    counted[event["stateEnteredEventDetails"]["name"]] += 1
    return counted


def work(stack: RunningSystem) -> dict[str, Work]:
    """Return what each function has done since the stack was started, from its log's REPORT lines."""
    done = {}
    for log in sorted((stack.data_dir / "logs").glob("*.log")):
        if reports := _REPORT.findall(log.read_text(errors="replace")):
            seconds = [float(milliseconds) / 1000 * int(memory) / 1024 for milliseconds, memory in reports]
            done[log.stem] = Work(len(reports), sum(seconds))
    return done
