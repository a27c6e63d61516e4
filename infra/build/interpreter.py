"""Lambda's Python on this machine. It compiles and runs the artifacts. A build works without it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from infra.build import VERSION

VARIABLE = "TARGET_PYTHON"
NAME = f"python{VERSION[0]}.{VERSION[1]}"
ABSENT = f"no {NAME} on this machine (${VARIABLE} may name one)"


def find(given: str | None = None) -> Path | None:
    """Return Lambda's Python, or None if this machine has none that runs.

    If `given` or else ``$TARGET_PYTHON`` names a Python, no other is tried. Otherwise this tries ``python3.13`` on the
    PATH, and then the Python that runs this program.
    """
    chosen = given or os.environ.get(VARIABLE)
    candidates = [chosen] if chosen else [shutil.which(NAME), sys.executable]
    return next((path for path in map(_resolve, filter(None, candidates)) if path), None)


def obstacle(build: Path, python: Path | None) -> str | None:
    """Return why a build cannot run on this machine with this Python, or None if it can."""
    machine = platform.machine()
    if python is None:
        return f"there is {ABSENT}"
    if not (build / "template.yaml").is_file():
        return f"there is nothing in {build}; `make build` makes it"
    if not next(build.glob(f"*/python/**/*-{machine}-linux-gnu.so"), None):
        return f"{build} is for another processor than {machine}; `make build ARCH=...` chooses"
    if not runtime_beside(build).is_dir():
        return f"there is no {runtime_beside(build)}; `make run-built` and `make table` make it"
    return None


def runtime_beside(build: Path) -> Path:
    """Return the folder for the packages of Lambda's image."""
    return build.parent / "runtime"


def _resolve(command: str) -> Path | None:
    """Return the interpreter behind `command`, or None if it is not Lambda's Python.

    `command` may be a script that chooses an interpreter by variables (pyenv does so). The functions do not get these
    variables.
    """
    # Take the interpreter behind a virtual environment, because the artifacts bring all their packages.
    program = "import sys; print(*sys.version_info[:2]); print(getattr(sys, '_base_executable', sys.executable))"
    try:
        answer = subprocess.run([command, "-c", program], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    version, _, executable = answer.stdout.strip().partition("\n")
    return Path(executable) if version == f"{VERSION[0]} {VERSION[1]}" else None


def compile_all(python: Path, folder: Path, shown_as: str) -> None:
    """Compile every module in a folder in place, for a file system that will be read-only.

    Parameters
    ----------
    python
        Lambda's Python. Lambda would ignore the bytecode of another version.
    folder
        The folder to compile.
    shown_as
        The path of the folder on Lambda, for tracebacks.
    """
    subprocess.run(
        [
            python, "-m", "compileall", "-q", "-j", "0",
            # Do not compare bytecode with its source: deployment changes the files' times, and the files are read-only.
            "--invalidation-mode", "unchecked-hash",
            "-s", folder, "-p", shown_as, folder,
        ],
        check=True,
    )  # fmt: skip
