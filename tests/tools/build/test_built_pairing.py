"""A pairing with the built artifacts: on Lambda's Python version, read-only, and with the layers' packages only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.build.interpreter import ABSENT, find
from infra.build.steps import build_runtime
from infra.local.functions.interpreters import from_build
from tests.support.postgres import Postgres
from tests.support.stack import PATIENCE_SECONDS, ROOT, RunningSystem
from tests.tools.build.conftest import HERE, Build

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find() is None, reason=ABSENT),
]


@pytest.fixture(scope="module")
def build(built: Build) -> Path:
    """The artifacts for this machine's processor, and the packages of Lambda's image."""
    build = built(HERE)
    build_runtime(ROOT, build.parent / "runtime", HERE)
    return build


@pytest.fixture(scope="module")
def stack(postgres: Postgres, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """The whole system, with the functions from the artifacts."""
    database_url = postgres.url(postgres.create())
    stack = RunningSystem(tmp_path_factory.mktemp("stack"), "--built", str(build), "--database-url", database_url)
    try:
        yield stack
    finally:
        assert stack.stop() == 0


def mapped(process: psutil.Process) -> set[str]:
    """The files that a process has mapped into its memory."""
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    return {line.split(maxsplit=5)[5] for line in maps.splitlines() if len(line.split(maxsplit=5)) == 6}


def test_a_pairing_works_from_the_artifacts(stack: RunningSystem, build: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in build.rglob("*")}
    user = stack.user()
    assert user.connect().status == 202
    qr = user.qr(30)
    (linker,) = [one for one in stack.instances("linker") if one["busySince"]]
    (engine,) = psutil.Process(linker["pid"]).children()
    libraries = {path for path in mapped(engine) if ".so" in path}
    assert {path for path in libraries if "libmagic" in path} == {
        str(build / "EngineLayer" / "python" / "pylibmagic" / "libmagic.so.1")
    }
    assert not [path for path in libraries if str(ROOT / ".venv") in path or "python3.11" in path]
    assert user.scan(qr, "34600000301").status == 200
    assert user.reaches("connected")["phoneNumber"] == "34600000301"
    assert user.disconnect().json()["status"] == "disconnected"
    user.wait(PATIENCE_SECONDS, "empty device list", lambda _: stack.devices("34600000301") == [])
    assert {path: path.stat().st_mtime_ns for path in build.rglob("*")} == before


def test_the_page_and_the_qr_work_from_the_artifacts(stack: RunningSystem) -> None:
    import urllib.request

    with urllib.request.urlopen(f"{stack.url}/home/settings/whatsapp", timeout=10) as page:
        assert b"<html" in page.read()
    user = stack.user()
    user.connect()
    user.qr(30)
    assert user.call("GET", "qr").body.startswith(b"<?xml") or b"<svg" in user.call("GET", "qr").body
    assert user.call("GET", "qr", Accept="image/png").body.startswith(b"\x89PNG")
    user.disconnect()


def test_the_artifacts_are_read_only_at_run_time(build: Path) -> None:
    *view, python = from_build(build, None).command
    if not view:
        pytest.skip("this system allows no user namespaces")
    written = build / "StatusFunction" / "written"
    for path in (written, "written"):
        command = [*view, python, "-c", f"open({str(path)!r}, 'w')"]
        done = subprocess.run(
            command, cwd=build / "StatusFunction", env={"PATH": os.defpath}, capture_output=True, text=True, check=False
        )
        assert "Read-only file system" in done.stderr
    assert not written.exists()
