"""A command that measures changes only its own section of a file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.documents.figures import record
from tests.system.guards.guards_of_code import GUARDS

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


# ── what the documents repeat of the figures ──

README = (ROOT / "README.md").read_text("utf-8")
FIGURES = (ROOT / "tests" / "bench" / "figures.md").read_text("utf-8")
RELIABILITY = (ROOT / "tests" / "reliability.md").read_text("utf-8")


def measured(pattern: str) -> float:
    """Return the number that the pattern finds in the file of figures."""
    (found,) = re.findall(pattern, FIGURES)
    return float(found)


def test_readmes_times_of_a_pairing_are_the_measured_ones() -> None:
    to_qr = measured(r"\| click to QR in status \| (\d+) \|") / 1000
    to_connected = measured(r"\| scan to connected \| (\d+) \| \d+ \|") / 1000
    assert f"**{to_qr:.1f} s from the click to the QR code**, and {to_connected:.1f} s from the scan" in README


def test_readmes_costs_are_the_measured_ones() -> None:
    month = measured(r"Independent of use: ([\d.]+) dollars a month")
    pairing = measured(r"\| \*\*together\*\* \| \*\*([\d.]+)\*\* \|")
    assert f"**{month:.0f} dollars a month**, and {pairing / 1000:.2f} dollars for each 1,000 pairings" in README


def test_readmes_capacity_is_the_default_and_the_measured_load() -> None:
    (limit,) = re.findall(
        r"MaxLivePairings:\n    Type: Number\n    Default: (\d+)", (ROOT / "template.yaml").read_text()
    )
    (together,) = re.findall(r"^(\d+) pairings side by side", FIGURES, re.MULTILINE)
    assert f"carries **{limit} pairings at the same moment**; {together} at once were measured" in README


def test_readme_counts_the_faults_that_were_tried() -> None:
    runs = [int(count) for count in re.findall(r"^\| \w+ +\| [^|]+\| (\d+) +\|", RELIABILITY, re.MULTILINE)]
    assert f"{len(runs)} kinds of faults in {sum(runs)} runs" in README


@pytest.mark.parametrize("document", ["README.md", "SECURITY.md", "tests/README.md"])
def test_documents_count_the_guards(document: str) -> None:
    assert f"{len(GUARDS)} " in re.findall(r"(\d+ )(?:of these )?guards", (ROOT / document).read_text("utf-8"))


def test_the_cost_of_step_functions_is_the_measured_one() -> None:
    transitions = measured(r"\| state transitions \| ([\d.]+) \|")
    pairing = measured(r"\| \*\*together\*\* \| \*\*([\d.]+)\*\* \|")
    text = " ".join((ROOT / "ARCHITECTURE.md").read_text("utf-8").split())
    assert f"{transitions:.0f} of the {pairing:.0f} dollars that a million pairings cost" in text
