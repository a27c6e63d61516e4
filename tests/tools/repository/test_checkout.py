"""The checkout: its line ends, its files without git, its environments, and the variables that make removes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import listed
from tests.support.stack import ROOT

BINARY = {".png"}
# Variables of a shell that is set up for other work.
ODD_SHELL = {
    "PIP_USER": "1", "PIP_TARGET": "/nowhere", "PIP_PREFIX": "/nowhere", "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_NO_BINARY": ":all:", "PYTHONSAFEPATH": "1", "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere",
    "PYTHONSTARTUP": "/nowhere", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2",
    "PYTHONPLATLIBDIR": "lib64", "PYTEST_ADDOPTS": "--nonsense", "VIRTUAL_ENV": "/nowhere", "CONDA_PREFIX": "/nowhere",
    "MYPYPATH": "/nowhere", "PGSSLMODE": "require", "PGOPTIONS": "-c default_transaction_read_only=on",
    "DATABASE_URL": "postgresql://production", "AWS_PROFILE": "work", "SAM_CLI_DEBUG": "1",
}  # fmt: skip
MIRROR = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_CERT": "/ca.pem", "PIP_CONFIG_FILE": os.devnull}


def attributes(name: str, files: list[str]) -> dict[str, str]:
    """The attributes of each file by .gitattributes."""
    asked = ["git", "check-attr", "-z", "--stdin", name]
    done = subprocess.run(asked, cwd=ROOT, input="\0".join(files), capture_output=True, text=True, check=True)
    fields = done.stdout.split("\0")[:-1]
    return dict(zip(fields[::3], fields[2::3], strict=True))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a tarball has no attributes")
def test_every_text_file_is_checked_out_with_lf() -> None:
    files = listed()
    binary = {name for name in files if Path(name).suffix in BINARY}
    ends, texts = attributes("eol", files), attributes("text", files)
    assert {name for name, end in ends.items() if end != "lf"} <= binary
    assert {name for name, text in texts.items() if text == "unset"} == binary


def test_no_text_file_holds_a_carriage_return() -> None:
    held = [name for name in listed() if Path(name).suffix not in BINARY and b"\r" in (ROOT / name).read_bytes()]
    assert held == []


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to compare with")
@pytest.mark.parametrize("git", ["none", "another repository's", "not installed"])
def test_a_tarball_has_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: str) -> None:
    tree = tmp_path / "outer" / "tree"
    for name in listed():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    for junk in (".venv/bin/python", ".local/logs/x.log", "infra/__pycache__/x.pyc"):
        (tree / junk).parent.mkdir(parents=True, exist_ok=True)
        (tree / junk).touch()
    if git == "another repository's":
        subprocess.run(["git", "init", "-q", tree.parent], check=True)
    if git == "not installed":
        monkeypatch.setenv("PATH", str(tmp_path))
    assert sorted(listed(tree)) == sorted(listed())


def test_make_guards_refuses_a_word_that_fits_no_guard() -> None:
    command = [sys.executable, "-m", "tests.system.guards.__main__", "no such guard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "No guard's name contains no such guard.\n")


# ── environments ──


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in an awkward place, whose locks are empty."""
    folder = tmp_path / "it's a #1 ñ folder"
    (folder / "requirements").mkdir(parents=True)
    (folder / "infra").mkdir()
    shutil.copy2(ROOT / "Makefile", folder)
    shutil.copy2(ROOT / "infra" / "venv.sh", folder / "infra")
    (folder / "infra" / "__init__.py").write_text("print('found')")
    for name in ("dev", "sam", "security"):
        (folder / "requirements" / f"{name}.txt").write_text("")
    return folder


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make with this Python as the person's python3."""
    path = f"{Path(sys.executable).resolve().parent}{os.pathsep}{os.environ['PATH']}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "PYTHON", "PIP_"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=inherited | {"PATH": path} | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The output of make without pip's warnings about an empty lock."""
    return "\n".join(line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("WARNING"))


MADE = "Installing the tools of run, test and lint (about 2 minutes) into .venv ..."


def test_a_real_environment_is_made_in_any_shell_and_place(checkout: Path) -> None:
    assert said(make(checkout, "setup", **ODD_SHELL)) == MADE
    assert said(make(checkout, "setup")) == ""
    ran = [checkout / ".venv" / "bin" / "python", "-P", "-c", "import infra"]
    assert subprocess.run(ran, cwd="/", capture_output=True, text=True, check=True).stdout == "found\n"


@pytest.fixture
def quick(tmp_path: Path) -> str:
    """A PATH with a python3 that makes environments at once, without pip."""
    program = tmp_path / "quick" / "python3"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ncase "$1 $2" in\n'
        '"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;\n'
        f'"-m pip") ;;\n*) case "$2" in *purelib*) ;; *) exec "{sys.executable}" "$@" ;; esac ;;\nesac\n'
    )
    program.chmod(0o755)
    return f"{program.parent}{os.pathsep}{os.environ['PATH']}"


def test_a_broken_environment_is_replaced(checkout: Path, quick: str) -> None:
    def setup(folder: Path, *arguments: str) -> str:
        return said(make(folder, "setup", *arguments, PATH=quick))

    assert [setup(checkout), setup(checkout)] == [MADE, ""]
    (checkout / ".venv" / "installed").unlink()  # make was killed while pip ran
    assert [setup(checkout), setup(checkout)] == [MADE, ""]

    interpreter = checkout / ".venv" / "bin" / "python"
    interpreter.unlink()  # its pyenv version was removed
    interpreter.symlink_to("/gone/python3")
    assert [setup(checkout), setup(checkout)] == [MADE, ""]

    shutil.copy2(python(checkout, "3.10.12"), interpreter)
    assert [setup(checkout), setup(checkout)] == [MADE, ""]

    (checkout / "requirements" / "dev.txt").write_text("# another lock\n")
    assert [setup(checkout), setup(checkout)] == [MADE, ""]

    names = checkout / ".venv" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (names / "package").mkdir(parents=True)
    assert [setup(checkout), setup(checkout)] == [MADE, ""]  # a package was added that no lock has

    moved = checkout.rename(checkout.with_name("moved"))
    assert [setup(moved), setup(moved)] == [MADE, ""]
    assert setup(moved, f"PYTHON={sys.executable}") == ""
    for none in ("no-such-python", "/bin/true"):
        assert f"{none} does not run" in setup(moved, f"PYTHON={none}")
    assert setup(moved) == ""


def test_make_says_what_each_environment_is_for(checkout: Path, quick: str) -> None:
    printed = said(make(checkout, "setup", "sam-tools", "security-tools", PATH=quick))
    assert re.findall(r"Installing (.*) \(about . minutes?\) into (\S+) \.\.\.", printed) == [
        ("the tools of run, test and lint", ".venv"), ("sam-cli", ".venv-sam"),
        ("checkov and pip-audit", ".venv-security"),
    ]  # fmt: skip


def python(folder: Path, version: str, status: int = 0) -> Path:
    """A fake Python of this version. With a status, its check for modules fails."""
    program = folder / f"python-{version}"
    too_old = int(tuple(map(int, version.split("."))) < (3, 11))
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *print*) echo {version} ;; *exit*) exit {too_old} ;;\n'
        f"*) echo \"ModuleNotFoundError: No module named 'ensurepip'\" >&2; exit {status} ;; esac\n"
    )
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("version", "status", "sentence"),
    [
        ("3.10.12", 0, "Python 3.11 or newer is needed; this is 3.10.12 ({}). Name another with PYTHON="),
        ("2.7.18", 0, "Python 3.11 or newer is needed; this is 2.7.18 ({}). Name another with PYTHON="),
        ("3.11.2", 1, "Python 3.11.2 ({}) lacks a part (No module named 'ensurepip'): on Debian and Ubuntu, apt-get"),
    ],
)
def test_an_unsuitable_python_is_named(
    checkout: Path, tmp_path: Path, version: str, status: int, sentence: str
) -> None:
    program = python(tmp_path, version, status)
    done = make(checkout, "setup", f"PYTHON={program}")
    line, ended = done.stderr.splitlines()
    assert line.startswith(sentence.format(program))
    assert ended.startswith("make: ***")
    assert not (checkout / ".venv").exists()


def test_a_missing_python_is_explained(checkout: Path) -> None:
    done = make(checkout, "setup", "PYTHON=no-such-python")
    assert done.stderr.startswith("Python 3.11 or newer is needed, and no-such-python does not run.")


def test_make_ignores_variables_of_other_work(checkout: Path) -> None:
    with (checkout / "Makefile").open("a") as makefile:
        makefile.write("\nshow:\n\t@env\n")
    for given in (make(checkout, "show", **ODD_SHELL, **MIRROR), make(checkout, "show", "PYTHON=x", **MIRROR)):
        shown = dict(line.split("=", 1) for line in given.stdout.splitlines() if "=" in line)
        assert not set(ODD_SHELL) & set(shown)
        assert shown.items() >= MIRROR.items()


# ── the recipe ──


def test_the_recipe_s_own_python_is_not_overridden(checkout: Path) -> None:
    """SAM's builder starts another make, which inherits variables from the first one's command line."""
    sam = checkout / ".venv-sam"
    make(checkout, "sam-tools")
    shutil.copytree(ROOT / "infra" / "build", checkout / "infra" / "build")
    package = checkout / "samcli"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import subprocess, os\nos.makedirs('source'); os.makedirs('to')\n"
        "open('source/app.py', 'w').close()\n"
        "subprocess.run(['make', '-n', '-C', 'source', '-f', os.path.abspath('infra/build/recipe.mk'),"
        " 'build-OneFunction'], check=True)\n"
        "subprocess.run(['make', '-C', 'source', '-f', os.path.abspath('infra/build/recipe.mk'), 'build-OneFunction'],"
        " env={**os.environ, 'ARTIFACTS_DIR': os.path.abspath('to')}, check=True)\n"
        "print('processor', os.environ['ARCHITECTURE'], os.environ['PYTHON'])\nraise SystemExit(3)\n"
    )
    done = make(checkout, "build", f"PYTHON={sys.executable}", "ARCH=x86_64", "BUILD_DIR=out", "BUILD=false", "-k")
    assert f"processor x86_64 {sam.resolve()}/bin/python" in done.stdout, done.stdout + done.stderr
    assert (checkout / "to" / "app.py").is_file()


@pytest.mark.parametrize("wrong", ["ARCH=amd64", "ARCH=", "ARCHITECTURE=x86_64"])
def test_an_unknown_processor_is_refused(checkout: Path, quick: str, wrong: str) -> None:
    done = make(checkout, "build", wrong, PATH=quick)
    assert "ARCH=arm64 or ARCH=x86_64 chooses the processor." in done.stderr
    assert "Building" not in done.stdout
