"""`make release` in a test repository, with real git and a real Postgres."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.migrate.release import this_release
from infra.release.calls import FILES
from infra.release.changelog import UNRELEASED, sections
from tests.support.checkout import listed
from tests.support.environment import CALLER
from tests.support.stack import ROOT

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git to commit and tag with")

NAMES = {f"GIT_{role}_{part}": "nobody@example.com" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
ENVIRONMENT = CALLER | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"} | NAMES
NEWS = "### Fixed\n\n- It.\n\n### For operators\n\n- Nothing.\n\n### Support\n\n- Until June.\n"
NEXT = "98.0.0"


class Repository:
    """A repository that is ready for a release."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def git(self, *arguments: str) -> str:
        """Run git and return its output."""
        command = ["git", "-C", str(self.place), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout.strip()

    def commit(self) -> None:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "As it is")

    def release(self, version: str) -> subprocess.CompletedProcess[str]:
        """Run `make release` with the tests' own environment, because make would install another for minutes."""
        command = ["make", "--silent", "--assume-old=setup", "release", f"BIN={Path(sys.executable).parent}"]
        return subprocess.run(
            [*command, f"VERSION={version}"],
            cwd=self.place, env=ENVIRONMENT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def state(self) -> tuple[str, str, str]:
        """Return the commit, the changed files and the tags. A refused release changes none of them."""
        return self.git("rev-parse", "HEAD"), self.git("status", "--porcelain"), self.git("tag")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The files of this repository in one commit, with something to release."""
    original = Repository(tmp_path_factory.mktemp("original"))
    for name in listed():
        (original.place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, original.place / name)
    changelog = original.place / "CHANGELOG.md"
    head, rest = changelog.read_text("utf-8").split(f"## [{UNRELEASED}]\n")
    changelog.write_text(f"{head}## [{UNRELEASED}]\n\n{NEWS}\n{rest[rest.index('## [') :]}", "utf-8")
    original.git("init", "--quiet", "--initial-branch", "main")
    original.commit()
    return original


@pytest.fixture
def repository(original: Repository, tmp_path: Path) -> Repository:
    """A clone of its own for each test."""
    original.git("clone", "--quiet", str(original.place), str(tmp_path / "clone"))
    return Repository(tmp_path / "clone")


def test_a_release_is_one_commit_with_its_tag(repository: Repository) -> None:
    before = repository.git("rev-parse", "HEAD")
    done = repository.release(NEXT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("publishes it, and GitHub then deploys the tag to prod.\n")

    assert repository.git("status", "--porcelain") == ""
    assert repository.git("rev-parse", "HEAD^") == before
    assert repository.git("log", "-1", "--format=%s") == f"Release {NEXT}"
    assert repository.git("cat-file", "-t", f"v{NEXT}") == "tag"
    assert repository.git("rev-parse", f"v{NEXT}^{{commit}}") == repository.git("rev-parse", "HEAD")
    folder = f"tests/releases/{NEXT}"
    assert repository.git("show", "--format=", "--name-only", "HEAD").splitlines() == [
        "CHANGELOG.md", "infra/migrate/bundle.json", "pyproject.toml", *(f"{folder}/{name}" for name in sorted(FILES)),
    ]  # fmt: skip
    assert tomllib.loads((repository.place / "pyproject.toml").read_text())["project"]["version"] == NEXT
    found = sections((repository.place / "CHANGELOG.md").read_text("utf-8"))
    assert (found[UNRELEASED], found[NEXT]) == ("", NEWS.strip())

    again = repository.release(NEXT)
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr.startswith(f"{NEXT} is not larger than {NEXT}, which pyproject.toml has.\n")


def dirty(repository: Repository) -> None:
    (repository.place / "new.txt").touch()


def tagged(repository: Repository) -> None:
    repository.git("tag", f"v{NEXT}")


def unexplained(repository: Repository) -> None:
    changelog = repository.place / "CHANGELOG.md"
    changelog.write_text(changelog.read_text("utf-8").replace(NEWS, "", 1), "utf-8")
    repository.commit()


def incompatible(repository: Repository) -> None:
    """Record an earlier release with a call of a function that does not exist."""
    releases = repository.place / "tests" / "releases"
    shutil.copytree(releases / this_release(), releases / "1.0.0")
    database = releases / "1.0.0" / "database.json"
    database.write_text(database.read_text().replace("take_v1(", "take_v0("))
    repository.commit()


def hooked(repository: Repository) -> None:
    """Let git refuse the commit, as it does without an identity."""
    hook = repository.place / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho no commits today >&2\nexit 1\n")
    hook.chmod(0o755)


def as_it_is(repository: Repository) -> None:
    pass


@pytest.mark.parametrize(
    ("version", "prepare", "words"),
    [
        ("", as_it_is, "nothing is no version: give three numbers"),
        ("1.2", as_it_is, "1.2 is no version"),
        ("v98.0.0", as_it_is, "v98.0.0 is no version"),
        ("98.0.0-rc1", as_it_is, "98.0.0-rc1 is no version"),
        ("98.00.0", as_it_is, "98.00.0 is no version"),
        ("0.0.1", as_it_is, f"0.0.1 is not larger than {this_release()}"),
        (this_release(), as_it_is, "is not larger than"),
        (NEXT, dirty, "The tree is not clean: commit or stash these first.\n?? new.txt"),
        (NEXT, tagged, f"There is a tag v{NEXT} already."),
        (NEXT, unexplained, "CHANGELOG.md has nothing under [Unreleased]"),
        (NEXT, hooked, "git commit says: no commits today"),
        (NEXT, incompatible, "function whatsapp_private.take_v0("),
    ],
)
def test_a_refused_release_changes_nothing(
    repository: Repository, version: str, prepare: Callable[[Repository], None], words: str
) -> None:
    prepare(repository)
    before = repository.state()
    done = repository.release(version)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert repository.state() == before


def test_lost_calls_before_release_1_0_are_only_reported(repository: Repository) -> None:
    releases = repository.place / "tests" / "releases"
    (releases / this_release()).rename(releases / "0.99.0")
    for version in releases.glob("*/"):
        if version.name != "0.99.0":
            shutil.rmtree(version)
    database = releases / "0.99.0" / "database.json"
    database.write_text(database.read_text().replace("claim_v1(", "claim_v0("))
    repository.commit()
    done = repository.release(NEXT)
    assert done.returncode == 0
    assert done.stdout.startswith("Calls of 0.99.0 that are gone:\n")
    assert re.search(r"^database\.json: .*claim_v0.* does not exist$", done.stdout, re.MULTILINE)
