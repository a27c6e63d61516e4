"""A version that cannot be tried gets one sentence that says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra.children import ChildGuard
from infra.engine_version import bounded, candidate
from infra.engine_version.__main__ import main
from infra.engine_version.bounded import Runner
from infra.errors import ToolError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index of this machine. It has two versions of neonize, and no other is asked."""
    page = tmp_path / "simple" / "neonize"
    page.mkdir(parents=True)
    names = ("neonize-9.9.8-py3-none-any.whl", "neonize-9.9.9-py3-none-any.whl")
    (page / "index.html").write_text("".join(f'<a href="{name}">{name}</a>' for name in names))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    return page


def said(capsys: pytest.CaptureFixture[str], version: str) -> str:
    assert main([version]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (sentence,) = printed.err.splitlines()
    return sentence


def test_a_missing_version_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "") == "Name the version of neonize to try: make engine VERSION=x.y.z"


@pytest.mark.parametrize("version", ["newest", "0.5.x", "../0.5.3", "0.5.3;ls", "v0.5.3", "==0.5.3", "--help "])
def test_a_malformed_version_is_refused(version: str) -> None:
    with pytest.raises(ToolError, match="is no version; write it as PyPI does"):
        candidate.folder_of(version)


@pytest.mark.usefixtures("index")
def test_a_published_version_is_accepted() -> None:
    candidate.require_published("9.9.8")


@pytest.mark.usefixtures("index")
def test_an_unknown_version_is_told_the_newest(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "9.9.7") == "There is no neonize 9.9.7 for this Python; the newest are 9.9.9, 9.9.8."


def test_an_index_that_cannot_be_asked_is_named(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (index / "index.html").unlink()
    assert said(capsys, "9.9.9").startswith("pip cannot list the versions of neonize: No matching")


def test_the_copy_has_all_files_and_only_another_pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Recorded(Runner):
        def run(self, command, seconds, environment=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, ARG002
            commands.append([*map(str, command)])
            return bounded.Done(0, "")

    guard = ChildGuard()
    monkeypatch.setattr(candidate, "ROOT", repository(tmp_path / "repository"))
    runner = Recorded(tmp_path / "copy", tmp_path / "log", guard)
    (tmp_path / "copy" / ".venv").mkdir(parents=True)
    (tmp_path / "copy" / "old.py").touch()
    made = candidate.make("9.9.9", runner)
    guard.close()

    names = {str(path.relative_to(made.root)) for path in made.root.rglob("*") if path.is_file()}
    assert names == {".gitignore", "pyproject.toml", "layers/child.py"}
    assert (made.root / "pyproject.toml").read_text() == 'engine = ["neonize==9.9.9", "pylibmagic"]'
    assert (made.root / ".venv").is_dir()
    assert [command[:2] for command in commands] == [["make", "lock"], ["make", "setup"]]
    assert all(command[2].startswith("PYTHON=/") for command in commands)


def repository(root: Path) -> Path:
    for name in (".git/config", ".venv/bin/python", ".engine/9.9.9/old.py", "layers/child.py", "layers/child.pyc"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / ".gitignore").write_text(".venv*\n.engine/\n*.pyc\n")
    (root / "pyproject.toml").write_text('engine = ["neonize==0.5.2", "pylibmagic"]')
    return root


def test_a_version_that_cannot_be_locked_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidate, "ROOT", repository(tmp_path / "repository"))
    (tmp_path / "repository" / "Makefile").write_text(
        "lock:\n\t@printf '  × No solution found when resolving dependencies:\\n"
        "  ╰─▶ Because neonize==9.9.9 needs protobuf>=9,\\n      it is unsatisfiable.\\n'; exit 1\n"
    )
    guard = ChildGuard()
    with pytest.raises(ToolError) as caught:
        candidate.make("9.9.9", Runner(tmp_path / "copy", tmp_path / "log", guard))
    guard.close()
    why = "Because neonize==9.9.9 needs protobuf>=9, it is unsatisfiable."
    assert str(caught.value) == f"neonize 9.9.9 cannot be installed here: {why} ({tmp_path / 'log'} has more)"


# ── the limit of time ──


def test_a_command_ends_with_its_children_at_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "_GRACE_SECONDS", 0.5)
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "print(child.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as foreign:
        guard = ChildGuard()
        done = Runner(tmp_path, tmp_path / "log", guard).run([sys.executable, "-c", program], 5)
        guard.close()
        assert done.status is None
        until = time.monotonic() + 60
        while psutil.pid_exists(pid := int(done.output)) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert foreign.poll() is None
        foreign.send_signal(signal.SIGKILL)


def test_an_outer_make_does_not_reach_an_inner_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", " -- VERSION=9.9.9 PYTHON=nowhere")
    monkeypatch.setenv("MAKELEVEL", "1")
    (tmp_path / "Makefile").write_text("lock:\n\t@echo $(PYTHON) $(VERSION) $(MAKELEVEL)\n")
    guard = ChildGuard()
    done = Runner(tmp_path, tmp_path / "log", guard).run(["make", "lock", "PYTHON=here"], 60)
    guard.close()
    assert (done.status, done.output.split()) == (0, ["here", "0"])
