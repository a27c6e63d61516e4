"""Runs every case, and writes the table in ``tests/reliability.md``.

With arguments, this command only prints the table.

usage: python -m tests.system.faults [-k TEXT] [--runs N] [--seed N]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from infra.documents.figures import record
from tests.system.faults.cases import CASES
from tests.system.faults.suite import Result, Suite

RELIABILITY = Path(__file__).parents[2] / "reliability.md"
HEADINGS = ("", "case", "runs", "ends", "slowest, s")


def table(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    rows = [HEADINGS, *(result.row for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def main() -> int:
    """Run the cases and print the table. Problems go to standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.system.faults", description="Disturb real pairings, and print how they ended."
    )
    parser.add_argument("-k", metavar="TEXT", default="", help="only cases with this in group or name")
    parser.add_argument("--runs", type=int, help="how often each case; default: as the case says")
    parser.add_argument("--seed", type=int, default=1, help="of the random moments (default 1)")
    given = parser.parse_args()
    began = time.monotonic()
    suite = Suite([one for one in CASES if given.k in f"{one.group} {one.name}"], given.runs, given.seed)
    results = []
    try:
        for one, future in suite.results.items():
            result = future.result()
            results.append(result)
            for problem in result.problems:
                print(f"{one.name}: {problem}", file=sys.stderr)
    finally:
        suite.stop()
    print(table(results))
    runs = sum(result.ends.total() for result in results)
    problems = sum(len(result.problems) for result in results)
    print(
        f"\n{len(results)} cases, {runs} runs, {problems} problems, {time.monotonic() - began:.0f} s, seed {given.seed}"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main() if sys.argv[1:] else record(RELIABILITY, "make faults", "Every case", main))
