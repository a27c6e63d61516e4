"""Finds PostgreSQL 15 and 17 for the tests. The wheel that we install has only 16 and 18.

npm installs both from a lock file with hashes (`npm_postgres/package-lock.json`), for Linux on x86_64, once per lock
file. No script of a package runs, except the one below that makes the links to its libraries.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from infra.errors import ToolError
from infra.postgres.account import PLACE
from tests.support.environment import CALLER

FROM_NPM = ("15", "17")
LOCK = Path(__file__).with_name("npm_postgres")
ROOT = Path(__file__).resolve().parents[2]


def binaries(version: str) -> str:
    """Return what `EmbeddedPostgres` takes as its version: a version of the wheel, or a folder of programs."""
    return str(_installed() / f"node_modules/postgres-{version}/native/bin") if version in FROM_NPM else version


def _installed() -> Path:
    digest = hashlib.sha256((LOCK / "package-lock.json").read_bytes()).hexdigest()
    # Under root, Postgres runs as a user who may not reach the folder of the project.
    place = (PLACE if os.geteuid() == 0 else ROOT / ".local") / f"postgres-from-npm-{digest[:12]}"
    if not place.exists():
        npm, node = shutil.which("npm"), shutil.which("node")
        if npm is None or node is None or (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise ToolError(
                f"PostgreSQL {' and '.join(FROM_NPM)} come from npm, for Linux on x86_64 only. Elsewhere, name a folder"
                " with initdb and postgres: make test-postgres POSTGRES=/usr/lib/postgresql/15/bin"
            )
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            _install(Path(folder) / "new", npm, node)
            (Path(folder) / "new").rename(place)
    return place


def _install(place: Path, npm: str, node: str) -> None:
    shutil.copytree(LOCK, place)
    # The caller's variables may name a proxy or a registry, so npm gets all of them.
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=place, env=CALLER, check=True, capture_output=True)
    for version in FROM_NPM:
        package = place / "node_modules" / f"postgres-{version}"
        subprocess.run([node, "scripts/hydrate-symlinks.js"], cwd=package, check=True, capture_output=True)
    for path in (place, *place.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
