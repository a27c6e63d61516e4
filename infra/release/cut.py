"""Cuts a release: first the checks, then the files, then one commit and its tag. Nothing is pushed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from infra.migrate.bundle import write_versions
from infra.migrate.release import order, this_release
from infra.migrate.snapshot import fresh_database
from infra.migrate.up_and_status import up
from infra.release import kept
from infra.release.calls import FILES, ROOT, recorded
from infra.release.changelog import BadChangelogError, released

_PROJECT, _CHANGELOG = ROOT / "pyproject.toml", ROOT / "CHANGELOG.md"
_VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}")
_LINE = re.compile(r'^version = ".*"$', re.M)


class NoReleaseError(Exception):
    """The release cannot be cut. Its text says why, and nothing has changed."""


def cut(version: str) -> str:
    """Set the version, date the changelog, record the calls, commit and tag. Return a message with the next step.

    Raises
    ------
    NoReleaseError
        The working tree, the version or the changelog is not ready, or a call of a kept release is gone.
    """
    if not _VERSION.fullmatch(version):
        raise NoReleaseError(f"{version or 'nothing'} is no version: give three numbers, VERSION=1.2.3.")
    if order(version) <= order(this_release()):
        raise NoReleaseError(f"{version} is not larger than {this_release()}, which pyproject.toml has.")
    if changed := _git("status", "--porcelain"):
        raise NoReleaseError(f"The tree is not clean: commit or stash these first.\n{changed}")
    if _git("tag", "--list", f"v{version}"):
        raise NoReleaseError(f"There is a tag v{version} already.")
    try:
        news = released(_CHANGELOG.read_text("utf-8"), version, f"{datetime.now(UTC):%Y-%m-%d}")
    except BadChangelogError as error:
        raise NoReleaseError(str(error)) from None
    with _all_or_nothing(version):
        _PROJECT.write_text(_LINE.sub(f'version = "{version}"', _PROJECT.read_text("utf-8"), count=1), "utf-8")
        _CHANGELOG.write_text(news, "utf-8")
        this_release.cache_clear()
        write_versions()  # The record in a bundle names the release, so it is a new text.
        calls, lost = _calls()
        write(calls, version)
        _git("add", "--all")
        _git("commit", "--quiet", "-m", f"Release {version}")
        _git("tag", "--annotate", f"v{version}", "-m", f"Release {version}")
    return (
        f"{lost}Release {version} is committed and tagged v{version}.\n"
        "`git push --follow-tags` publishes it, and GitHub then deploys the tag to prod."
    )


@contextmanager
def _all_or_nothing(version: str) -> Iterator[None]:
    """Take everything back when a step fails. The tree was clean before, so nothing else is lost."""
    head = _git("rev-parse", "HEAD")
    try:
        yield
    except BaseException:
        _git("reset", "--quiet", "--hard", head)
        shutil.rmtree(kept.FOLDER / version, ignore_errors=True)
        raise


def write(calls: dict[str, str], version: str) -> None:
    """Write the recorded calls of a release into its folder."""
    folder = kept.FOLDER / version
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).write_text(calls[name], "utf-8")


def _calls() -> tuple[dict[str, str], str]:
    """Return this release's calls, and a report of the calls that are gone since the newest kept release."""
    with fresh_database() as server:
        up(server.url())
        calls = recorded(server.url())
        before = {version: kept.read(version) for version in kept.kept()}
        gone = {version: kept.gone(then, calls, server.url()) for version, then in before.items()}
    moved = [line for then in before.values() for line in kept.moved(then, calls)]
    if moved:
        raise NoReleaseError("Versions of an earlier bundle stand for other texts:\n" + "\n".join(moved))
    broken = [line for version, lines in gone.items() if kept.compatible(version) for line in lines]
    if broken:
        raise NoReleaseError("Calls of a release that is still kept are gone:\n" + "\n".join(broken))
    newest, lines = next(reversed(gone.items()), ("", []))
    return calls, f"Calls of {newest} that are gone:\n" + "\n".join([*lines, "", ""]) if lines else ""


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoReleaseError(f"git {arguments[0]} says: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()
