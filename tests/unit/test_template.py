"""template.yaml without AWS: cfn-lint on what we wrote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cfn_lint(template: Path) -> str:
    """Return cfn-lint's complaints."""
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--format", "parseable", str(template)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout


def test_the_template_passes_cfn_lint() -> None:
    assert cfn_lint(ROOT / "template.yaml") == ""


def test_cfn_lint_sees_a_mistake(tmp_path: Path) -> None:
    wrong = (ROOT / "template.yaml").read_text().replace("CodeUri: functions/cleanup", "CodeUrii: functions/cleanup")
    (tmp_path / "template.yaml").write_text(wrong)
    assert "CodeUrii" in cfn_lint(tmp_path / "template.yaml")
