"""Chooses the Python for the functions: this Python for the source, or Lambda's version for the built artifacts."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from infra.build import VERSION
from infra.build.interpreter import find, obstacle, runtime_beside
from infra.errors import ToolError

logger = logging.getLogger(__name__)

LAMBDA_VIEW = Path(__file__).with_name("as_on_lambda.sh")


@dataclass(frozen=True)
class Interpreter:
    """How a function's process is started.

    Attributes
    ----------
    command
        The command that starts the Python, with the command that prepares its surroundings in front.
    version
        The version of the Python, as Lambda writes it.
    search_path
        The PATH of the functions' processes.
    packages
        The folder with the packages of Lambda's image, for the end of the Python path. It is empty for the source,
        because this Python has these packages installed.
    """

    command: tuple[str, ...]
    version: str
    search_path: str
    packages: tuple[str, ...] = ()


def from_source() -> Interpreter:
    """Return the Python that runs this program, with its packages."""
    version = ".".join(platform.python_version_tuple()[:2])
    return Interpreter((sys.executable,), version, os.environ.get("PATH", os.defpath))


def from_build(build: Path, python: str | None) -> Interpreter:
    """Return Lambda's version of Python, for the artifacts in `build`. The functions cannot write the artifacts.

    Raises
    ------
    ToolError
        The artifacts cannot run here. The message says why.
    """
    found = find(python)
    reason = obstacle(build, found)
    if reason is not None:
        raise ToolError(f"--built: {reason}")
    command = (*_lambda_view(build), str(found))
    return Interpreter(command, f"{VERSION[0]}.{VERSION[1]}", os.defpath, (str(runtime_beside(build)),))


def _lambda_view(build: Path) -> tuple[str, ...]:
    """Return the words to put in front of a command; none if the system allows no user namespaces."""
    unshare = shutil.which("unshare")
    if unshare is not None:
        view = (unshare, "--user", "--map-root-user", "--mount", "sh", str(LAMBDA_VIEW), str(build))
        attempt = subprocess.run([*view, "true"], capture_output=True, text=True, check=False)
        if attempt.returncode == 0:
            return view
    logger.warning(
        "user namespaces are not allowed here, so the functions can write the artifacts and find the system's libmagic"
    )
    return ()
