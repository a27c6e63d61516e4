"""The text of a variable on make's command line reaches the program as it is. Neither make nor the shell runs it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.environment import CALLER

ROOT = Path(__file__).resolve().parents[3]
# Prints its arguments and the variables that recipes set.
PROGRAM = r"""#!/bin/sh
printf '<%s>' "$FUZZ_SEED" "$TEST_POSTGRES" "$PYTHON" "$@"
"""
COMMANDS = ("`touch ran`", "$$(touch ran)", "$(shell touch ran)", '"; touch ran; "', "'; touch ran; '", "x; touch ran")
TARGETS = [
    ("engine", "VERSION"),
    ("release", "VERSION"),
    ("test-postgres", "POSTGRES"),
    ("fuzz", "SEED"),
    ("bench", "WHAT"),
    ("table", "BUILD_DIR"),
    ("dependencies", "BUILD_DIR"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the Makefile and a stand-in for each Python."""
    shutil.copy2(ROOT / "Makefile", tmp_path)
    (tmp_path / "infra").mkdir()
    for program in (".venv/bin/python", ".venv-sam/bin/python"):
        (tmp_path / program).parent.mkdir(parents=True)
        (tmp_path / program).write_text(PROGRAM)
        (tmp_path / program).chmod(0o755)
    (tmp_path / "infra" / "venv.sh").write_text(PROGRAM)
    return tmp_path


def make(folder: Path, target: str, *variables: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a target as if its environments were there."""
    there = [f"--assume-old={name}" for name in ("setup", "sam-tools", ".aws-sam/runtime/installed")]
    return subprocess.run(
        ["make", "--silent", *there, target, *variables],
        cwd=folder, env=CALLER | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("text", COMMANDS)
@pytest.mark.parametrize(("target", "variable"), TARGETS)
def test_no_command_in_a_variable_runs(folder: Path, target: str, variable: str, text: str) -> None:
    done = make(folder, target, f"{variable}={text}")
    assert (done.returncode, done.stderr) == (0, "")
    assert text in done.stdout
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("text", COMMANDS)
def test_no_command_in_a_build_s_variable_runs(folder: Path, text: str) -> None:
    assert make(folder, "build", f"ARCH={text}").returncode == 2
    assert text in make(folder, "build", f"BUILD_DIR={text}").stdout
    assert text in make(folder, "rehearsal-tools", f"TARGET_PYTHON={text}").stdout
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("target", ["engine", "release"])
def test_only_the_command_line_gives_a_version(folder: Path, target: str) -> None:
    assert make(folder, target, "VERSION=9.9.9", VERSION="6.6.6").stdout.endswith("<9.9.9>")
    assert make(folder, target, VERSION="6.6.6").stdout.endswith("<>")


def test_variables_that_are_not_given_have_defaults(folder: Path) -> None:
    assert make(folder, "bench").stdout.endswith("<-m><tests.bench>")
    assert make(folder, "fuzz").stdout.split(">")[0][1:].isdigit()
    assert "<--build><.aws-sam/build>" in make(folder, "table").stdout
    assert "<python3.13>" in make(folder, "rehearsal-tools").stdout
    assert "<Architecture=arm64>" in make(folder, "build").stdout
    assert "<Architecture=x86_64>" in make(folder, "build", ARCH="x86_64").stdout
    assert make(folder, "test-postgres").returncode == 2
