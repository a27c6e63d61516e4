"""The target's Python on this machine. Nothing needs it to build; compiling and running the artifacts does."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from infra.build import VERSION

VARIABLE = "TARGET_PYTHON"


def find(given: str | None = None) -> Path | None:
    """Return the interpreter, or None where there is none that runs.

    Looked for: what is given, else ``$TARGET_PYTHON``, else ``python3.13`` on the PATH, else the Python that runs this.
    """
    name = f"python{VERSION[0]}.{VERSION[1]}"
    chosen = given or os.environ.get(VARIABLE)
    candidates = [chosen] if chosen else [shutil.which(name), sys.executable]
    return next((path for path in map(_resolve, filter(None, candidates)) if path), None)


def obstacle(build: Path, python: Path | None) -> str | None:
    """Say why a build cannot run on this machine with that interpreter; None when it can."""
    machine = platform.machine()
    if python is None:
        return f"this machine has no python{VERSION[0]}.{VERSION[1]} (${VARIABLE} may name one)"
    if not (build / "template.yaml").is_file():
        return f"there is nothing in {build}; `make build` makes it"
    if not next(build.glob(f"*/python/**/*-{machine}-linux-gnu.so"), None):
        return f"{build} is for another processor than {machine}; `make build ARCH=...` chooses"
    if not runtime_beside(build).is_dir():
        return f"there is no {runtime_beside(build)}; `make run-built` and `make table` make it"
    return None


def runtime_beside(build: Path) -> Path:
    """Where the packages are that Lambda's image would have."""
    return build.parent / "runtime"


def _resolve(command: str) -> Path | None:
    """The program itself: what is on the PATH may be a stand-in that chooses one by an environment Lambda lacks."""
    # Its own base, not a virtual environment's: the artifacts bring all their packages.
    program = "import sys; print(*sys.version_info[:2]); print(getattr(sys, '_base_executable', sys.executable))"
    try:
        answer = subprocess.run([command, "-c", program], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    version, executable = answer.stdout.splitlines()
    return Path(executable) if version == f"{VERSION[0]} {VERSION[1]}" else None


def compile_all(python: Path, folder: Path, shown_as: str) -> None:
    """Compile every module in a folder in place, for a file system that will be read-only.

    Parameters
    ----------
    python
        The target's interpreter; another version's bytecode would be ignored there.
    folder
        What to compile.
    shown_as
        Where the folder will be on Lambda, for tracebacks.
    """
    subprocess.run(
        [
            python, "-m", "compileall", "-q", "-j", "0",
            # Deployment packages change the files' times; and what is read-only need not be checked against its source.
            "--invalidation-mode", "unchecked-hash",
            "-s", folder, "-p", shown_as, folder,
        ],
        check=True,
    )  # fmt: skip
