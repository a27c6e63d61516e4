"""Every link of the documents leads to a file, a heading or a line that exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.documents.links import broken_links, documents

ROOT = Path(__file__).resolve().parents[3]
OTHER = """# Other

## How it's *done*, in `two` steps

## Twice

## Twice

<a id="by-hand"></a>

## Año — más
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with another document, some code and a folder."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text(OTHER)
    (tmp_path / "code file.py").write_text("one\ntwo\nthree\n")
    return tmp_path


def test_every_link_of_the_documents_leads_somewhere() -> None:
    assert len(documents(ROOT)) > 5
    assert broken_links(ROOT) == []


@pytest.mark.parametrize(
    "link",
    [
        "docs/other.md", "docs", "docs/", "/docs/other.md", "./docs/../docs/other.md", "code%20file.py", "#here",
        "docs/other.md#other", "docs/other.md#how-its-done-in-two-steps", "docs/other.md#twice-1",
        "docs/other.md#by-hand", "docs/other.md#a%C3%B1o--m%C3%A1s", "code%20file.py#L3", "code%20file.py#L1-L3",
        "https://example.com/nowhere#at-all", "mailto:nobody@example.com", "//example.com/x",
    ],
)  # fmt: skip
def test_a_link_with_a_target_is_no_fault(root: Path, link: str) -> None:
    (root / "README.md").write_text(f"# Here\n\nText [a]({link})\n")
    assert broken_links(root) == []


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("gone.md", "there is no such file"),
        ("docs/gone.md#other", "there is no such file"),
        ("..", "there is no such file"),
        ("#there", "README.md has no such heading"),
        ("docs/other.md#Other", "other.md has no such heading"),
        ("docs/other.md#twice-2", "other.md has no such heading"),
        ("docs/other.md#L3", "other.md has no such heading"),
        ("code%20file.py#L4", "code file.py has no such lines"),
        ("code%20file.py#L3-L2", "code file.py has no such lines"),
        ("code%20file.py#L0", "code file.py has no such lines"),
        ("code%20file.py#one", "only a heading of a Markdown file, or a line as in #L7 or #L7-L9, can be linked"),
        ("docs#L1", "only a heading of a Markdown file, or a line as in #L7 or #L7-L9, can be linked"),
    ],
)
def test_a_link_without_a_target_is_named(root: Path, link: str, fault: str) -> None:
    (root / "README.md").write_text(f"# Here\n\nText\nand [a]({link})\n")
    assert broken_links(root) == [f"README.md:3: {link}: {fault}"]


@pytest.mark.parametrize(
    "form",
    [
        "![a](X)",
        "[a]: X\n\n[a]",
        '<a href="X">a</a>',
        '<img src="X">',
        "| [a](X) |\n|---|",
        "- a\n\n  > [a](X)",
        "# [a](X)",
    ],
)
def test_a_link_is_found_in_any_form(root: Path, form: str) -> None:
    (root / "README.md").write_text(form.replace("X", "gone.md"))
    (named,) = broken_links(root)
    assert named.endswith(": gone.md: there is no such file")


def test_code_holds_no_links(root: Path) -> None:
    (root / "README.md").write_text("`[a](gone.md)`\n\n```\n[a](gone.md)\n```\n\n    [a](gone.md)\n")
    assert broken_links(root) == []


@pytest.mark.parametrize("folder", [".venv/lib", ".aws-sam", ".local", "tests/node_modules"])
def test_files_of_others_are_left_out(root: Path, folder: str) -> None:
    (root / folder).mkdir(parents=True)
    (root / folder / "README.md").write_text("[a](gone.md)")
    (root / ".github").mkdir()
    (root / ".github" / "CONTRIBUTING.md").write_text("[a](gone.md)")
    assert broken_links(root) == [".github/CONTRIBUTING.md:1: gone.md: there is no such file"]
