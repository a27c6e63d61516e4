"""The steps that `recipe.mk` calls."""

from __future__ import annotations

import shutil
from pathlib import Path

from infra.build.interpreter import compile_all, find
from infra.build.trim import trim
from infra.build.wheels import install

# Files in the folder of a layer or function that Lambda does not get.
_NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "requirements.txt")


def build_layer(source: Path, artifacts: Path, architecture: str) -> None:
    """Build a layer: its own package and the packages of its lock, trimmed, in ``python/``."""
    python = artifacts / "python"
    install(source / "requirements.txt", python, architecture)
    trim(python)
    shutil.copytree(source, python, ignore=_NOT_SHIPPED, dirs_exist_ok=True)
    _compile(python, "/opt/python")


def build_function(source: Path, artifacts: Path) -> None:
    """Build a function: a copy of its folder."""
    shutil.copytree(source, artifacts, ignore=_NOT_SHIPPED, dirs_exist_ok=True)
    _compile(artifacts, "/var/task")


def build_runtime(root: Path, target: Path, architecture: str) -> None:
    """Install the packages that Lambda's image has in ``/var/runtime``: its runtime client and boto3."""
    shutil.rmtree(target, ignore_errors=True)
    install(root / "requirements" / "runtime.txt", target, architecture)
    _compile(target, "/var/runtime")


def _compile(folder: Path, shown_as: str) -> None:
    python = find()
    if python is not None:
        compile_all(python, folder, shown_as)
