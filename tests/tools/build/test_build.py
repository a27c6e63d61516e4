"""The steps of the build, tested alone: trimming, the choice of Python, and whether the artifacts can run here."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.build.interpreter import find, obstacle
from infra.build.pin import architecture_of, pin
from infra.build.trim import NothingToTrimError, trim
from tests.support.environment import CALLER
from tests.support.stack import ROOT


def make(folder: Path, *files: str) -> None:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def program(path: Path, said: str, status: int = 0) -> str:
    path.write_text(f"#!/bin/sh\nprintf '{said}'\nexit {status}\n")
    path.chmod(0o755)
    return str(path)


def test_trimming_removes_stubs_tests_and_commands_only(tmp_path: Path) -> None:
    make(tmp_path, "one/a.py", "one/a.pyi", "one/tests/x.py", "one/inner/b.pyi", "bin/tool", "tests/x.py")
    make(tmp_path, "one-1.dist-info/RECORD", "one-1.dist-info/licenses/LICENSE")
    trim(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"one/a.py", "one-1.dist-info/licenses/LICENSE"}


def test_a_trimming_rule_without_a_match_is_an_error(tmp_path: Path) -> None:
    make(tmp_path, "phonenumbers/geodata/x.py", "phonenumbers/tzdata/x.py")
    with pytest.raises(NothingToTrimError, match="phonenumbers/carrierdata"):
        trim(tmp_path)


def test_the_build_asks_the_interpreter_for_its_version(tmp_path: Path) -> None:
    right = program(tmp_path / "right", "3 13\\n/somewhere/python3.13\\n")
    assert find(right) == Path("/somewhere/python3.13")
    assert find(program(tmp_path / "old", "3 12\\n/somewhere/python3.12\\n")) is None
    assert find(program(tmp_path / "stand-in", "", 127)) is None
    assert find(program(tmp_path / "another program", "3 13 and more")) is None
    assert find(str(tmp_path / "absent")) is None


def test_a_build_for_another_machine_cannot_run_here(tmp_path: Path) -> None:
    build, python = tmp_path / "build", Path(sys.executable)
    assert "no python3.13" in str(obstacle(build, None))
    assert "make build" in str(obstacle(build, python))
    make(build, "template.yaml", "Layer/python/x.cpython-313-other-linux-gnu.so")
    assert "another processor" in str(obstacle(build, python))
    make(build, f"Layer/python/x.cpython-313-{platform.machine()}-linux-gnu.so")
    assert "no " in str(obstacle(build, python))
    (tmp_path / "runtime").mkdir()
    assert obstacle(build, python) is None


def test_a_rehearsal_without_lambda_s_python_fails(tmp_path: Path) -> None:
    command = ["make", "--silent", "--assume-old=setup", "rehearse", f"BIN={Path(sys.executable).parent}"]
    for variables in ([f"TARGET_PYTHON={tmp_path}/absent"], [f"TARGET_PYTHON={program(tmp_path / 'old', '3 12')}"]):
        done = subprocess.run([*command, *variables], cwd=ROOT, env=CALLER, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("There is no python3.13 on this machine ($TARGET_PYTHON may name one).\n")


def test_a_built_template_refuses_another_processor(tmp_path: Path) -> None:
    built = tmp_path / "template.yaml"
    built.write_text(
        "AWSTemplateFormatVersion: '2010-09-09'\n"
        "Parameters:\n  Architecture: {Type: String, Default: arm64, AllowedValues: [arm64, x86_64]}\n"
        "Resources:\n  One: {Type: T, Properties: {Name: {'Fn::Sub': '${Architecture}', Two: 'no'}}}\n"
    )
    before = yaml.safe_load(built.read_text())
    pin(built, "x86_64")
    after = yaml.safe_load(built.read_text())
    assert architecture_of(built) == "x86_64"
    assert after["Parameters"]["Architecture"]["AllowedValues"] == ["x86_64"]
    assert {key: after[key] for key in ("AWSTemplateFormatVersion", "Resources")} == {
        key: before[key] for key in ("AWSTemplateFormatVersion", "Resources")
    }
