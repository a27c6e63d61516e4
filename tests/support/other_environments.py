"""Programs of the virtual environments beside .venv, whose packages do not fit the versions of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.stack import ROOT


def tool(environment: str, name: str) -> Path:
    """Return a program of another virtual environment, which `make test` installs."""
    program = ROOT / environment / "bin" / name
    if not program.exists():
        pytest.skip(f"there is no {environment}: `make test` installs it")
    return program
