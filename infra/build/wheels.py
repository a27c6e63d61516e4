"""Installs packages for Lambda, with any Python that runs pip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from infra.build import VERSION

# Lambda's image for python3.13 is Amazon Linux 2023, which has glibc 2.34. pip installs a wheel only if this list has
# one of its tags. So the list also has the tags of older versions of glibc.
GLIBC = (2, 34)
_PLATFORMS = (*(f"manylinux_2_{minor}" for minor in range(GLIBC[1], 16, -1)), "manylinux2014")

# Key: Lambda's name of an architecture. Value: the name that wheels and the kernel use.
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}


def install(requirements: Path, target: Path, architecture: str) -> None:
    """Install a complete lock into a folder.

    The lock was resolved for Lambda. So pip must not resolve again (``--no-deps``), which it would do for the Python
    that it runs on. Source packages are refused, because pip would build them for this machine.

    Raises
    ------
    subprocess.CalledProcessError
        A wheel is missing or its hash is wrong. pip has printed its name.
    """
    machine = MACHINES[architecture]
    platforms = [f"--platform={platform}_{machine}" for platform in _PLATFORMS]
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--no-user", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile",
            # Old versions of pip would compare a package's requirement with the Python that they run on.
            "--ignore-requires-python",
            "--implementation=cp", f"--python-version={VERSION[0]}.{VERSION[1]}", *platforms,
            f"--requirement={requirements}", f"--target={target}",
        ],
        check=True,
    )  # fmt: skip
