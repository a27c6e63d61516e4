"""Makes a copy of the repository in which another version of neonize takes the place of the present one.

The copy does what the operator does for an update (infra/README.md, "A new neonize"): it raises the version in
`pyproject.toml`, runs `make lock`, `make setup` and `infra.migrate snapshot`. So the locks change no package that the
version does not need changed. The repository itself stays as it is. The copy includes changes that are not committed,
so one can adapt `child.py` to a version, and try again.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.engine_version.bounded import Done, Runner
from infra.engine_version.report import Line, failed, ok
from infra.errors import ToolError

ROOT = Path(__file__).resolve().parents[2]
# `make clean` removes this folder.
FOLDER = ROOT / ".engine"
# A second try of the same version uses them again.
_KEPT = {".venv", ".venv-lock"}

_PIN = re.compile(r'"neonize==([^"]+)"')
_LIST_SECONDS = 120.0
_LOCK_SECONDS = 600.0
_SETUP_SECONDS = 1800.0
_SNAPSHOT_SECONDS = 300.0


@dataclass(frozen=True)
class Checkout:
    """A repository with its own environment: the present one, or the copy.

    Attributes
    ----------
    root
        Its folder.
    version
        Its version of neonize.
    python
        The interpreter of its environment.
    """

    root: Path
    version: str
    python: Path


def present() -> Checkout:
    """Return this repository."""
    (version,) = _PIN.findall((ROOT / "pyproject.toml").read_text("utf-8"))
    return Checkout(ROOT, version, Path(sys.executable))


def folder_of(version: str) -> Path:
    """Return the folder of a version's copy, logs and artifacts.

    Raises
    ------
    ToolError
        The version is missing, or it is not written as PyPI writes versions. The message says what to do.
    """
    if not version:
        raise ToolError("Name the version of neonize to try: make engine VERSION=x.y.z")
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?(\.post[0-9]+)?(\.dev[0-9]+)?", version):
        raise ToolError(f"VERSION={version} is no version; write it as PyPI does, for example 0.5.3 or 0.5.3.post0")
    return FOLDER / version


def require_published(version: str) -> None:
    """Ask the package index whether it has the version, for this Python.

    Raises
    ------
    ToolError
        It has not, or it cannot be asked. The message says which.
    """
    command = [sys.executable, "-m", "pip", "index", "versions", "neonize", "--pre", "--disable-pip-version-check"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIST_SECONDS)
    except subprocess.TimeoutExpired:
        raise ToolError(f"pip got no list of neonize's versions within {_LIST_SECONDS:.0f} s") from None
    listed = re.search(r"^Available versions: (.+)$", asked.stdout, re.MULTILINE)
    if not listed:
        errors = [line for line in asked.stderr.splitlines() if line.startswith("ERROR: ")]
        why = errors[-1].removeprefix("ERROR: ") if errors else Done(asked.returncode, asked.stderr).last_line
        raise ToolError(f"pip cannot list the versions of neonize: {why}")
    versions = listed[1].split(", ")
    if version not in versions:
        newest = ", ".join(versions[:4])
        raise ToolError(f"There is no neonize {version} for this Python; the newest are {newest}.")


def make(version: str, runner: Runner) -> Checkout:
    """Make the copy and its environment. A copy of an earlier try is made anew, but keeps its environment.

    Raises
    ------
    ToolError
        The version cannot be installed beside our other packages. The message says why.
    """
    root = runner.folder
    _copy(root)
    text = (root / "pyproject.toml").read_text("utf-8")
    (root / "pyproject.toml").write_text(_PIN.sub(f'"neonize=={version}"', text), "utf-8")
    # The copy uses the Python of the present environment, so that only neonize differs.
    python = f"PYTHON={getattr(sys, '_base_executable', sys.executable)}"
    for target, seconds in (("lock", _LOCK_SECONDS), ("setup", _SETUP_SECONDS)):
        done = runner.run(["make", target, python], seconds)
        if done.status != 0:
            why = f"`make {target}` took longer than {seconds:.0f} s" if done.status is None else _why(done)
            raise ToolError(f"neonize {version} cannot be installed here: {why} ({runner.log} has more)")
    return Checkout(root, version, root / ".venv" / "bin" / "python")


def snapshot(candidate: Checkout, runner: Runner) -> Iterator[Line]:
    """Run `infra.migrate snapshot` in the copy, and yield whether its two files change."""
    check = "snapshot of the tables"
    done = runner.run([candidate.python, "-m", "infra.migrate", "snapshot"], _SNAPSHOT_SECONDS)
    if done.status != 0:
        yield failed(check, done.last_line)
        return
    files = [Path("infra", "migrate", name) for name in ("expected.json", "bundle.json")]
    changed = [file.name for file in files if (ROOT / file).read_bytes() != (candidate.root / file).read_bytes()]
    yield ok(check, f"{' and '.join(changed)} will change; review the diff" if changed else "as before")


def changed_packages(candidate: Checkout) -> Iterator[Line]:
    """Yield which locked packages change beside neonize."""
    changes = []
    for lock in ("requirements/dev.txt", "layers/engine/requirements.txt", "layers/shared/requirements.txt"):
        before, after = (_locked(root / lock) for root in (ROOT, candidate.root))
        for name in sorted({*before, *after} - {"neonize"}):
            if before.get(name) != after.get(name):
                changes.append(f"{name} {before.get(name, 'new')} -> {after.get(name, 'gone')} ({lock})")
    yield ok("locked packages beside neonize", "; ".join(changes) or "none changes")


def _copy(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in target.iterdir():
        if path.name not in _KEPT:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text("utf-8").split()]
    shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(".git", *ignored), symlinks=True, dirs_exist_ok=True)


def _locked(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[[^\]]*\])?==(\S+)", lock.read_text("utf-8"), re.MULTILINE))


def _why(done: Done) -> str:
    """Return what uv or pip says. uv wraps its sentence over several lines, which begin after a bar or an arrow."""
    told = done.output.partition("No solution found")[2] or done.output.partition("ERROR:")[2]
    words = " ".join(re.sub(r"[│╰─▶├×]", " ", told.partition("make: ***")[0]).split())
    return words.removeprefix("when resolving dependencies: ")[:300] or done.last_line
