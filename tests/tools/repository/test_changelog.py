"""CHANGELOG.md says for each release what an operator must do, and `make release` can date it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.migrate.release import order, this_release
from infra.release.changelog import UNRELEASED, BadChangelogError, missing, released, sections

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "CHANGELOG.md").read_text("utf-8")
PARTS = "### Fixed\n\n- It.\n\n### For operators\n\n- Nothing.\n\n### Support\n\n- Until June.\n"
SMALL = f"# Changelog\n\n## [Unreleased]\n\n{PARTS}\n## [0.1.0] - 2026-01-02\n\n{PARTS}"


def test_each_release_tells_operators_what_to_do() -> None:
    found = sections(TEXT)
    assert {name: missing(text) for name, text in found.items() if name != UNRELEASED and missing(text)} == {}
    assert next(iter(found)) == UNRELEASED


def test_the_newest_release_comes_first_and_is_the_projects() -> None:
    numbers = [name for name in sections(TEXT) if name != UNRELEASED]
    assert numbers == sorted(numbers, key=order, reverse=True)
    assert numbers[0] == this_release()
    dates = re.findall(r"^## \[[\d.]+\] - (\d{4}-\d\d-\d\d)$", TEXT, re.MULTILINE)
    assert len(dates) == len(numbers)
    assert dates == sorted(dates, reverse=True)


def test_a_release_dates_the_section_and_opens_the_next() -> None:
    after = released(SMALL, "0.2.0", "2026-03-04")
    assert after == SMALL.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.2.0] - 2026-03-04\n")
    assert [*sections(after)] == [UNRELEASED, "0.2.0", "0.1.0"]
    assert sections(after)[UNRELEASED] == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SMALL.replace(PARTS, "", 1), "has nothing under [Unreleased]"),
        (SMALL.replace("[Unreleased]", "[Next]"), "has nothing under [Unreleased]"),
        (SMALL.replace("### Support\n\n- Until June.\n", "", 1), "write the part Support"),
        (SMALL.replace("- Nothing.\n", "", 1), "write the part For operators"),
        (SMALL.replace("[0.1.0]", "[0.2.0]"), "has a section [0.2.0] already"),
    ],
    ids=["empty", "missing", "no support", "empty part", "released already"],
)
def test_an_incomplete_section_is_not_released(text: str, words: str) -> None:
    with pytest.raises(BadChangelogError, match=re.escape(words)):
        released(text, "0.2.0", "2026-03-04")
