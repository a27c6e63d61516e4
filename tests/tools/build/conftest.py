"""Builds once per session and architecture, as `make build` does, in a folder of the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.environment import CALLER
from tests.support.stack import ROOT


def make(*arguments: str) -> None:
    """Run make. Its output is shown when it fails."""
    done = subprocess.run(["make", *arguments], cwd=ROOT, env=CALLER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def built(folder: Path, architecture: str) -> Path:
    """Build for an architecture and return where the artifacts are."""
    build = folder / architecture / "build"
    make("build", f"ARCH={architecture}", f"BUILD_DIR={build}")
    return build


@pytest.fixture(scope="session", params=["arm64", "x86_64"])
def artifacts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The artifacts of one architecture, and its name."""
    return built(tmp_path_factory.mktemp("artifacts"), request.param), request.param
