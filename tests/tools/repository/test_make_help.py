"""`make help` lists every target with what it is for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
MAKEFILE = (ROOT / "Makefile").read_text().replace("\\\n", " ")


def test_every_target_has_a_text_that_help_shows() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    shown = dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", done.stdout, re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    # A person calls no target that is a path. A line that sets a variable for a target is no rule.
    rules = set(re.findall(r"^([a-z][a-z-]*):(?! \w+ =)", MAKEFILE, re.MULTILINE))
    assert set(phony.split()) == rules == set(shown)
    assert max(map(len, done.stdout.splitlines())) <= 120
    assert len(done.stdout.splitlines()) < 35


def test_readme_and_contributing_lead_to_help() -> None:
    for document in ("README.md", ".github/CONTRIBUTING.md"):
        assert "`make help`" in (ROOT / document).read_text("utf-8")
