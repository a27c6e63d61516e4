"""A command that measures changes only its own section of a file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.documents.figures import record

ROOT = Path(__file__).resolve().parents[3]
FILES = ["infra/build/shipped.md", "infra/build/sizes.md", "tests/bench/figures.md", "tests/reliability.md"]
BEFORE = "<!-- Written by `make try`. -->\n# Figures\n\nWhat they are.\n\n## One\n\nold\n\n## Other\n\nstays\n"


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    path = tmp_path / "figures.md"
    path.write_text(BEFORE)
    return path


def test_a_measurement_replaces_its_own_section(figures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert record(figures, "make try WHAT=one", "One", lambda: print("| 1 | ms |\n")) == 0
    head, one, other = figures.read_text().split("\n## ")
    assert head + "\n" == BEFORE.partition("## ")[0]
    origin, _, body = one.removeprefix("One\n\n").partition("\n\n")
    assert re.fullmatch(r"By `make try WHAT=one` on \d{4}-\d\d-\d\d: \w+ \w+, \d+ processors, Python [\d.]+\.", origin)
    assert (body, other) == ("| 1 | ms |\n", "Other\n\nstays\n")
    assert "| 1 | ms |" in capsys.readouterr().out


def test_a_new_section_comes_last(figures: Path) -> None:
    record(figures, "make try", "New", lambda: print("new"))
    assert figures.read_text().startswith(BEFORE + "\n## New\n\nBy ")


@pytest.mark.parametrize("status", [1, 2])
def test_a_measurement_that_fails_changes_nothing(figures: Path, status: int) -> None:
    def fail() -> int:
        print("wrong")
        return status

    assert record(figures, "make try", "One", fail) == status
    assert figures.read_text() == BEFORE


@pytest.mark.parametrize("file", FILES)
def test_a_file_of_figures_names_its_command_and_its_machine(file: str) -> None:
    first, *rest = (ROOT / file).read_text("utf-8").splitlines()
    (target,) = re.findall(r"^<!-- `make ([a-z]+)` writes this file.* -->$", first)
    assert f"\n{target}:" in (ROOT / "Makefile").read_text()
    sections = "\n".join(rest).split("\n## ")[1:]
    assert sections
    for section in sections:
        assert re.search(r"\d{4}-\d\d-\d\d", section.splitlines()[2]), section[:80]
