"""Removes each guard and sees a test fail: ``python -m tests.system.guards`` (``make guards``).

The command takes each guard out of a copy of the repository, one at a time, and runs the tests of this guard there.
If no test notices, the guard "survived" its removal, and the exit status is 1. A run takes about 16 minutes on 2 cores.
Words on the command line choose the guards whose names contain one of them.
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
        # When root runs this, Postgres runs as another user, who must be able to enter the folder.
        Path(folder).chmod(0o755)
        for name in listed():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, Path(folder) / name)
        yield Path(folder)


@contextmanager
def removed(guard: Guard, tree: Path) -> Iterator[None]:
    """A copy of the repository without the guard."""
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
    """The names of the tests that fail there."""
    # -B, because stale bytecode would hide a change that keeps a file's size and second.
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tree / '.temp'}"]
    run = subprocess.run([*command, *tests.split()], cwd=tree, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 1):
        raise SystemExit(f"pytest could not run {tests}:\n{run.stdout[-3000:]}{run.stderr[-3000:]}")
    return re.findall(r"^(?:FAILED|ERROR) \S*?(\w+\.py::\w+)", run.stdout, re.MULTILINE)


def main(words: list[str]) -> int:
    """Print the table. Return 1 if no test noticed the removal of a guard."""
    chosen = [one for one in GUARDS if not words or any(word in one.name for word in words)]
    if not chosen:
        raise SystemExit(f"No guard's name contains {' or '.join(words)}.")
    survived = 0
    with copied() as tree:
        for guard in chosen:  # check all quotes before the tests take minutes
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
