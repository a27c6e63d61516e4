"""Packages for the target machine, installed from any Python that runs pip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from infra.build import VERSION

# Lambda's python3.13 image is Amazon Linux 2023, whose glibc is 2.34. pip takes a wheel only when one of its tags
# is named here, so the older names that wheels still carry are listed too.
GLIBC = (2, 34)
_PLATFORMS = (*(f"manylinux_2_{minor}" for minor in range(GLIBC[1], 16, -1)), "manylinux2014")

# Lambda's name of an architecture, and that of Python's packages and the kernel.
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}


def install(requirements: Path, target: Path, architecture: str) -> None:
    """Install a complete lock into a folder.

    The lock was resolved for Lambda, so pip neither resolves (``--no-deps``) nor reads markers, which it would do
    with the Python it runs on. Source packages are refused: they would be built for this machine.

    Raises
    ------
    subprocess.CalledProcessError
        A wheel is missing or its hash is wrong; pip has said which.
    """
    machine = MACHINES[architecture]
    platforms = [f"--platform={platform}_{machine}" for platform in _PLATFORMS]
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--no-user", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile",
            # The lock is for the target; old versions of pip would ask for the Python that they run on.
            "--ignore-requires-python",
            "--implementation=cp", f"--python-version={VERSION[0]}.{VERSION[1]}", *platforms,
            f"--requirement={requirements}", f"--target={target}",
        ],
        check=True,
    )  # fmt: skip
