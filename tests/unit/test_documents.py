"""What the documents name exists."""

from __future__ import annotations

import re
from pathlib import Path

from infra.local.intrinsics import load_yaml

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(?P<file>[\w/]+\.py)?(?:::(?P<test>test_\w+))?`")


def test_every_test_that_the_threat_table_names_is_there() -> None:
    table = (ROOT / "SECURITY.md").read_text("utf-8").split("## Threats")[1]
    missing, seen, file = [], 0, ""
    for named in NAMED.finditer(table):
        file = named["file"] or file
        path = ROOT / "tests" / file
        if not path.is_file() or (named["test"] and f"def {named['test']}(" not in path.read_text("utf-8")):
            missing.append(named.group())
        seen += 1
    assert missing == []
    assert seen > 30


def test_the_deploy_guide_names_every_parameter() -> None:
    parameters = set(load_yaml((ROOT / "template.yaml").read_text("utf-8"))["Parameters"])
    guide = (ROOT / "README.md").read_text("utf-8").split("## Deploy")[1].split("### What is built")[0]
    rows = [line.split("|")[1] for line in guide.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([A-Z]\w+)`", row)}
    assert named == parameters
