"""Lists known vulnerabilities of everything that is locked, with pip-audit.

pip-audit gets its data about vulnerabilities from the network. It exits with 1 for a finding, for data that it cannot
get, and for a lock that it cannot read. It exits with 0 if its data knows none of the packages, as behind a mirror. So
`audit` does not use this status. It first lets pip-audit read the lock without the data. Then it reads the JSON that
pip-audit prints; if there is no JSON, pip-audit could not get its data.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_OPTIONS = ["--require-hashes", "--disable-pip", "--progress-spinner=off", "--timeout=15", "--format=json"]


# Vulnerabilities that we accept. When ecdsa signs, its timing reveals something about the key, and its authors will not
# change that. ecdsa comes with checkov, which signs nothing here. Nothing that we ship contains it.
ACCEPTED = {"CVE-2024-23342"}


class UnreadableLockError(Exception):
    """pip-audit cannot read a lock. The network is not the reason."""


@dataclass(frozen=True)
class Audit:
    """The result of one lock. If `checked` is 0, `obstacle` says why."""

    checked: int = 0
    unknown: int = 0
    findings: list[str] = field(default_factory=list)
    obstacle: str = "its data knows none of the packages"


def show(root: Path, pip_audit: Path) -> int:
    """Print the findings of each lock. Return 1 if there is one, else 0."""
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
        The lock or pip-audit itself is broken.
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
