"""Remove the guard, see the test fail: ``python -m tests.system.guards`` (``make guards``).

Each guard is taken out of a copy of the tree, one at a time, and the tests that are said to hold it run there. A
mutation that no test notices has survived: the exit status is 1. It takes about 16 minutes on 2 cores; words on
the command line pick the guards whose names contain one of them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.checkout import listed
from tests.support.stack import ROOT
from tests.system.guards.guard import Guard
from tests.system.guards.guards_of_code import GUARDS


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the repository's files."""
    with tempfile.TemporaryDirectory(prefix="guards-") as folder:
        # Postgres' own user must be able to pass through, when root runs this.
        Path(folder).chmod(0o755)
        for name in listed():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, Path(folder) / name)
        yield Path(folder)


@contextmanager
def removed(guard: Guard, tree: Path) -> Iterator[None]:
    """The tree without the guard."""
    file = tree / guard.path
    text = file.read_text()
    if text.count(guard.old) != guard.places:
        raise SystemExit(f"{guard.name}: {guard.path} has {text.count(guard.old)} such places, so the list is stale.")
    file.write_text(text.replace(guard.old, guard.new))
    try:
        yield
    finally:
        file.write_text(text)


def failures(tree: Path, tests: str) -> list[str]:
    """The tests that fail there, by name."""
    # -B: two versions of a file may have the same size and second, and bytecode would hide the change.
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tree / '.temp'}"]
    run = subprocess.run([*command, *tests.split()], cwd=tree, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1):
        raise SystemExit(f"pytest could not run {tests}:\n{run.stdout[-3000:]}{run.stderr[-3000:]}")
    return re.findall(r"^(?:FAILED|ERROR) \S*?(\w+\.py::\w+)", run.stdout, re.MULTILINE)


def main(words: list[str]) -> int:
    """Print the table; 1 when a guard could be removed unnoticed."""
    chosen = [one for one in GUARDS if not words or any(word in one.name for word in words)]
    if not chosen:
        raise SystemExit(f"No guard's name contains {' or '.join(words)}.")
    survived = 0
    with copied() as tree:
        for guard in chosen:  # all, before minutes are spent
            with removed(guard, tree):
                pass
        if failing := failures(tree, " ".join(sorted({file for one in chosen for file in one.tests.split()}))):
            raise SystemExit(f"These fail without any change, so they show nothing: {', '.join(failing)}")
        print("| guard | removed from | tests that noticed |\n|---|---|---|")
        for guard in chosen:
            with removed(guard, tree):
                noticed = failures(tree, guard.tests)
            survived += not noticed
            names = list(dict.fromkeys(noticed))
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            print(f"| {guard.name} | {guard.path} | {', '.join(names[:3]) or 'NONE'}{more} |", flush=True)
    print(f"{survived} of {len(chosen)} could be removed unnoticed.")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
