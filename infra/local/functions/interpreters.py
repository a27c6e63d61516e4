"""What runs the functions' code: this Python from source, or the target's Python from the built artifacts."""

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
        The Python, behind whatever prepares its surroundings.
    version
        Its version as Lambda writes it.
    search_path
        The PATH of its processes.
    packages
        What Lambda's image has, last on the Python path; empty where this Python has it installed.
    """

    command: tuple[str, ...]
    version: str
    search_path: str
    packages: tuple[str, ...] = ()


def from_source() -> Interpreter:
    """The Python that runs this, with its packages."""
    version = ".".join(platform.python_version_tuple()[:2])
    return Interpreter((sys.executable,), version, os.environ.get("PATH", os.defpath))


def from_build(build: Path, python: str | None) -> Interpreter:
    """The target's Python over the artifacts in `build`, where they are read-only.

    Raises
    ------
    ToolError
        They cannot run here; the message says why.
    """
    found = find(python)
    reason = obstacle(build, found)
    if reason is not None:
        raise ToolError(f"--built: {reason}")
    command = (*_lambda_view(build), str(found))
    return Interpreter(command, f"{VERSION[0]}.{VERSION[1]}", os.defpath, (str(runtime_beside(build)),))


def _lambda_view(build: Path) -> tuple[str, ...]:
    """The words that come before a command; none where the system does not allow it."""
    unshare = shutil.which("unshare")
    if unshare is not None:
        view = (unshare, "--user", "--map-root-user", "--mount", "sh", str(LAMBDA_VIEW), str(build))
        attempt = subprocess.run([*view, "true"], capture_output=True, text=True, check=False)
        if attempt.returncode == 0:
            return view
    logger.warning("user namespaces are not allowed here: the artifacts can be written, the system's libmagic is seen")
    return ()
