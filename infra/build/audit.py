"""Known vulnerabilities of everything that is locked, by pip-audit.

Its exit status is 1 for a finding, for a feed that it cannot reach and for a lock that it cannot read; and 0 where the
feed knows none of the packages, as behind a mirror. So the locks are read first, without the feed, and then its JSON
says what happened: none at all means that the feed was away.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_OPTIONS = ["--require-hashes", "--disable-pip", "--progress-spinner=off", "--timeout=15", "--format=json"]


# Known and lived with. ecdsa leaks by its timing when it signs, and its authors will not change that; it comes with
# checkov, which signs nothing here, and is in nothing that is shipped.
ACCEPTED = {"CVE-2024-23342"}


class UnreadableLockError(Exception):
    """pip-audit cannot do its work, and that is not the network's fault."""


@dataclass(frozen=True)
class Audit:
    """What came of one lock; where nothing was `checked`, `obstacle` says why."""

    checked: int = 0
    unknown: int = 0
    findings: list[str] = field(default_factory=list)
    obstacle: str = "its data knows none of the packages"


def show(root: Path, pip_audit: Path) -> int:
    """Print what is known of each lock; returns 1 when there is a finding, else 0."""
    found = False
    for lock in sorted([*root.glob("requirements/*.txt"), *root.glob("layers/*/requirements.txt")]):
        one = audit(lock, pip_audit)
        name = lock.relative_to(root)
        for finding in one.findings:
            print(f"{name}: {finding}")
        found = found or bool(one.findings)
        if not one.checked:
            print(f"{name}: SKIPPED, pip-audit cannot get its data from here ({one.obstacle})")
        else:
            missing = f", {one.unknown} SKIPPED: its data does not know them" if one.unknown else ""
            print(f"{name}: {one.checked} packages audited, {len(one.findings)} findings{missing}")
    return 1 if found else 0


def audit(lock: Path, pip_audit: Path) -> Audit:
    """Audit one lock.

    Raises
    ------
    UnreadableLockError
        The lock or pip-audit is broken: no network would help.
    """
    command = [str(pip_audit.absolute()), f"--requirement={lock}", *_OPTIONS]
    read = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=False)
    if read.returncode:
        raise UnreadableLockError(f"{lock}: {read.stderr.strip()[-500:]}")
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = json.loads(asked.stdout)["dependencies"]
    except ValueError:
        return Audit(obstacle=asked.stderr.strip().rpartition("\n")[2][:200])
    known = [one for one in packages if "skip_reason" not in one]
    findings = [
        f"{one['name']} {one['version']}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for one in known
        for flaw in one["vulns"]
        if not ACCEPTED & {flaw["id"], *flaw["aliases"]}
    ]
    return Audit(len(known), len(packages) - len(known), findings)
