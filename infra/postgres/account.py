"""The account that Postgres runs under, and folders that this account can reach.

Postgres refuses to run as root. Under root it therefore runs as ``nobody``, who usually cannot reach root's home
folder. The runner never changes the mode of a folder that it has not made. Instead it puts a database or programs that
``nobody`` cannot reach into `PLACE`.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import ToolError

PLACE = Path("/var/lib/whatsapp-pairing")


@dataclass(frozen=True)
class SystemAccount:
    """A user id and a group id.

    Attributes
    ----------
    uid, gid
        None if the program runs under the runner's own ids.
    """

    uid: int | None = None
    gid: int | None = None

    @property
    def popen(self) -> dict[str, Any]:
        """The arguments of `subprocess.Popen` that start a program under this account."""
        return {} if self.uid is None else {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_run(self, program: Path) -> bool:
        """Whether the account reaches a program and its libraries."""
        return self._succeeds(str(program), "--version")

    def can_enter(self, folder: Path) -> bool:
        """Whether the account reaches a folder."""
        return self._succeeds("/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder))

    def own(self, folder: Path) -> None:
        """Make a new folder that belongs to this account alone."""
        folder.mkdir(mode=0o700)
        if self.uid is not None and self.gid is not None:
            os.chown(folder, self.uid, self.gid)

    def _succeeds(self, *command: str) -> bool:
        try:
            return subprocess.run(command, cwd="/", capture_output=True, check=False, **self.popen).returncode == 0
        except (OSError, subprocess.SubprocessError):
            return False


def account_for(folder: Path) -> SystemAccount:
    """Return the account for a Postgres whose files are in `folder`.

    Under root this is the owner of an existing folder, or else ``nobody``. Otherwise it is the runner's own account.

    Raises
    ------
    ToolError
        The runner is root, and cannot run a program under such an account.
    """
    if os.geteuid() != 0:
        return SystemAccount()
    if folder.exists():
        owner = folder.stat()
        if owner.st_uid != 0:
            return SystemAccount(owner.st_uid, owner.st_gid)
        if any(folder.iterdir()):
            raise ToolError(f"{folder} belongs to root, but Postgres refuses to run as root. Give it to another user.")
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ToolError(
            "Postgres refuses to run as root, and this machine has no account nobody. "
            "Start the local system as another user, or give it a database with --database-url."
        ) from None
    account = SystemAccount(nobody.pw_uid, nobody.pw_gid)
    if not account.can_run(Path("/bin/true")):
        raise ToolError(
            "Postgres refuses to run as root, and root may start no program as nobody here. "
            "Start the local system as another user, or give it a database with --database-url."
        )
    return account


def reachable_folder(wanted: Path, account: SystemAccount) -> Path:
    """Return `wanted`, or a folder in `PLACE` if the account cannot reach `wanted`.

    In the second case, `wanted` becomes a link to the folder in `PLACE`, so the next run finds it.
    """
    if wanted.is_symlink():
        return wanted.resolve()
    if wanted.exists() or account.can_enter(wanted.parent):
        return wanted
    _make_place()
    elsewhere = PLACE / f"{wanted.name}-{secrets.token_hex(8)}"
    wanted.symlink_to(elsewhere)
    return elsewhere


def copy_of(site: Path, parts: Sequence[str], label: str) -> Path:
    """Copy installed packages into `PLACE`, for an account that cannot read them in `site`; return the copy.

    The copy keeps the relative paths of its `parts`, because a program finds its libraries by them. `label` names the
    version, so each version is copied once.
    """
    copy = PLACE / label
    if not copy.exists():
        _make_place()
        unfinished = PLACE / f"{label}.{secrets.token_hex(8)}"
        for part in parts:
            shutil.copytree(site / part, unfinished / part, symlinks=True, copy_function=_copy_readable)
        for folder, _, _ in os.walk(unfinished):
            os.chmod(folder, 0o755)
        try:
            unfinished.rename(copy)
        except OSError:  # another runner has made the copy meanwhile
            shutil.rmtree(unfinished)
    return copy


def _make_place() -> None:
    if not PLACE.exists():
        PLACE.mkdir(parents=True)
        PLACE.chmod(0o755)


def _copy_readable(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    os.chmod(target, 0o755 if os.access(source, os.X_OK) else 0o644)
