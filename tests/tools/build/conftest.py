"""Builds once per session and architecture, as `make build` does, in a folder of the tests."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from infra.build.wheels import MACHINES
from tests.support.environment import CALLER
from tests.support.stack import ROOT

HERE = next(name for name, machine in MACHINES.items() if machine == platform.machine())
"""This machine's processor, as Lambda names it."""

Build = Callable[[str], Path]


def make(*arguments: str) -> None:
    """Run make. Its output is shown when it fails."""
    done = subprocess.run(["make", *arguments], cwd=ROOT, env=CALLER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """``built(architecture)`` returns where the artifacts for this architecture are."""

    @cache
    def built(architecture: str) -> Path:
        build = tmp_path_factory.mktemp("artifacts") / architecture / "build"
        make("build", f"ARCH={architecture}", f"BUILD_DIR={build}")
        return build

    return built


@pytest.fixture(scope="session", params=["arm64", "x86_64"])
def artifacts(request: pytest.FixtureRequest, built: Build) -> tuple[Path, str]:
    """The artifacts of one architecture, and its name."""
    return built(request.param), request.param
