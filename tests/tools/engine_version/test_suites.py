"""Every file of tests that uses the engine belongs to a suite of `make engine`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from infra.engine_version.suites import SUITES

ROOT = Path(__file__).resolve().parents[3]
# Each of these fixtures starts an engine, or has it make the tables of a database.
_FIXTURES = {"process", "stack", "migrated_template", "migrated_url", "database_url"}
_STARTS = re.compile(r"ProcessEngine|RunningSystem|SandboxProcess|started_runner|create_engine_tables|store_fault")
_PLUGIN = f"""
def pytest_collection_finish(session):
    for item in session.items:
        if {_FIXTURES} & set(item.fixturenames):
            print("USES", item.location[0])
"""
# These files use no engine of another version: they test `make engine` itself, and the folders of `infra/`.
_ELSEWHERE = ("tests/tools/engine_version/",)


def test_no_file_that_uses_the_engine_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "find_users.py").write_text(_PLUGIN)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "find_users", "tests"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    users = set(re.findall(r"^USES (\S+)$", done.stdout, re.MULTILINE))
    collected = set(re.findall(r"^(tests/\S+\.py)(?::|$)", done.stdout, re.MULTILINE))
    users |= {name for name in collected if _STARTS.search((ROOT / name).read_text("utf-8"))}
    paths = tuple(path for suite in SUITES for path in suite.paths)
    assert len(users) > 60
    assert sorted(name for name in users if not name.startswith((*paths, *_ELSEWHERE))) == []


def test_every_path_of_a_suite_exists_and_stands_once() -> None:
    paths = [path for suite in SUITES for path in suite.paths]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert len({*paths}) == len(paths)
