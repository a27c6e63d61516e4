"""A database with paired devices is upgraded as an operator does it, to the present version or to a broken one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from infra.children import ChildGuard
from infra.engine_version import deployment
from infra.engine_version.candidate import ROOT, Checkout, present
from infra.engine_version.report import Line
from infra.engine_version.upgrade import ANNOUNCE, PAIR, UNLINK, Upgrade

pytestmark = pytest.mark.slow


def upgrade(candidate: Checkout, log: Path) -> dict[str, Line]:
    """The lines of an upgrade from the present version, by their checks."""
    guard = ChildGuard()
    try:
        return {line.check: line for line in Upgrade(present(), candidate, log, guard).lines()}
    finally:
        guard.close()


def test_an_upgrade_to_the_present_version_keeps_everything(tmp_path: Path) -> None:
    lines = upgrade(present(), tmp_path / "log")
    assert [str(line) for line in lines.values() if not line.holds] == []
    assert len(lines) == 8
    assert lines[ANNOUNCE].reason.startswith("2.3000.")


def test_an_engine_that_cannot_start_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "_PATIENCE_SECONDS", 30.0)
    copy = tmp_path / "copy"
    for name in ("infra", "layers", "functions", "migrations", "template.yaml", "pyproject.toml"):
        source = ROOT / name
        shutil.copytree(source, copy / name) if source.is_dir() else shutil.copy(source, copy / name)
    child = copy / "layers" / "engine" / "whatsapp_engine" / "child.py"
    child.write_text(child.read_text().replace("new_device=jid is None", "fresh_device=jid is None"))
    lines = upgrade(Checkout(copy, "9.9.9", Path(sys.executable)), tmp_path / "log")
    failed = {check: line.reason for check, line in lines.items() if not line.holds}
    assert set(failed) == {UNLINK, PAIR, ANNOUNCE}
    assert "the functions' logs say: UnlinkFailed: WhatsApp did not confirm" in failed[UNLINK]
    assert "engine died exit status 1" in failed[PAIR]
    assert lines["way back to " + present().version].reason == "it opens the tables, logs in and unlinks"
