"""Checks the links of the Markdown files: each relative link must lead to a file, each anchor to a heading or a line.

markdown-it-py finds the links and the headings, so the text of code blocks does not count. Links to other hosts are
not followed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

_IN_HTML = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=[\"']([^\"']+)[\"']", re.IGNORECASE)
_HTML_ANCHOR = re.compile(r"\b(?:id|name)=[\"']([^\"']+)[\"']", re.IGNORECASE)
# A link to a page of GitHub about this repository, relative to its first page. The badge of the tests has one.
_OF_GITHUB = "../../actions/"
_LINES = re.compile(r"L(\d+)(?:-L(\d+))?")


def broken_links(root: Path) -> list[str]:
    """Return a line for each link that leads nowhere: file, first line of the paragraph, link, and what is missing."""
    return [
        f"{document.relative_to(root)}:{line}: {link}: {fault}"
        for document in documents(root)
        for line, link in _links(document)
        if (fault := _fault(root, document, link))
    ]


def documents(root: Path) -> list[Path]:
    """Return the Markdown files, without those in environments and artifacts (`.venv`, `.aws-sam`, …)."""
    return sorted(path for path in root.rglob("*.md") if not any(map(_foreign, path.relative_to(root).parts[:-1])))


def _foreign(folder: str) -> bool:
    return folder == "node_modules" or (folder.startswith(".") and folder != ".github")


def _links(document: Path) -> Iterator[tuple[int, str]]:
    for block in _parsed(document):
        line = block.map[0] + 1 if block.map else 1
        if block.type == "html_block":
            yield from ((line, link) for link in _IN_HTML.findall(block.content))
        for token in block.children or []:
            if token.type in ("link_open", "image"):
                yield line, str(token.attrs.get("href") or token.attrs.get("src") or "")
            elif token.type == "html_inline":
                yield from ((line, link) for link in _IN_HTML.findall(token.content))


def _fault(root: Path, document: Path, link: str) -> str | None:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or link.startswith(_OF_GITHUB):
        return None
    path = unquote(parts.path)
    target = document if not path else root / path[1:] if path.startswith("/") else document.parent / path
    if not target.exists() or not target.resolve().is_relative_to(root.resolve()):
        return "there is no such file"
    if not parts.fragment:
        return None
    anchor = unquote(parts.fragment)
    if target.suffix == ".md":
        return None if anchor in _anchors(target) else f"{target.name} has no such heading"
    lines = _LINES.fullmatch(anchor)
    if lines is None or not target.is_file():
        return "only a heading of a Markdown file, or a line as in #L7 or #L7-L9, can be linked"
    first, last = int(lines[1]), int(lines[2] or lines[1])
    return None if 1 <= first <= last <= _length(target) else f"{target.name} has no such lines"


@cache
def _parsed(document: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(document.read_text("utf-8"))


@cache
def _length(file: Path) -> int:
    return len(file.read_text("utf-8").splitlines())


@cache
def _anchors(document: Path) -> set[str]:
    """Return the anchors of a document as GitHub makes them: a repeated heading gets -1, -2, …"""
    found: set[str] = set()
    tokens = _parsed(document)
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            slug, number = _slug(inline), 0
            while (anchor := f"{slug}-{number}" if number else slug) in found:
                number += 1
            found.add(anchor)
    html = [
        part.content for block in tokens for part in (block, *(block.children or [])) if part.type.startswith("html")
    ]
    return found | {name for content in html for name in _HTML_ANCHOR.findall(content)}


def _slug(heading: Token) -> str:
    text = "".join(part.content for part in heading.children or [] if part.type in ("text", "code_inline"))
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
