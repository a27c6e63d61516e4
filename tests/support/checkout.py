"""The files that belong to the repository, in a clone and in a tarball of it."""

from __future__ import annotations

import os
import subprocess
from fnmatch import fnmatch
from pathlib import Path

from tests.support.stack import ROOT


def listed(root: Path = ROOT) -> list[str]:
    """Return the files that git tracks or would add. Without git, return the files that .gitignore does not name."""
    try:
        if not _git(root, "rev-parse", "--show-cdup").strip():
            names = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
            return [name for name in names if name and (root / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        pass  # no git, no repository, or a repository of another user
    ignored = [line.rstrip("/") for line in (root / ".gitignore").read_text().split()]
    return sorted(_walk(root, [*ignored, ".git"]))


def _git(root: Path, *arguments: str) -> str:
    # In a git hook, variables like GIT_DIR name another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def _walk(root: Path, ignored: list[str]) -> list[str]:
    found = []
    for folder, folders, files in os.walk(root):
        for names in (folders, files):
            names[:] = [name for name in names if not any(fnmatch(name, pattern) for pattern in ignored)]
        found += [str((Path(folder) / name).relative_to(root)) for name in files]
    return found
