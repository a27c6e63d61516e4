"""Splits a migration into its statements, as the Supabase CLI does when it records one.

Postgres needs no splitting; the record does (`statements text[]`), and a failure that names its statement
is worth having. Semicolons inside strings, quoted names, dollar quotes, comments, parentheses (rules) and
`begin atomic` bodies end nothing. A statement keeps the comments before it and loses its semicolon.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# One lexical unit of Postgres' grammar. The order matters: an E-string before a word that begins with E, a
# word (which may contain `$`) before a dollar quote, so that `a$b$c` opens none.
_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<line_comment>--[^\n]*)
    | (?P<block_comment>/\*)
    | (?P<escape_string>[eE]'(?:[^'\\]|\\.|'')*'(?!'))
    | (?P<string>'(?:[^']|'')*'(?!'))
    | (?P<quoted_name>"(?:[^"]|"")*"(?!"))
    | (?P<word>[^\W\d][\w$]*)
    | (?P<dollar_quote>\$(?:[^\W\d]\w*)?\$)
    | (?P<number>\d[\w.]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def split(text: str) -> list[str]:
    """Split `text` into statements.

    Raises
    ------
    ValueError
        A string, quoted name, dollar quote or comment has no end.

    Examples
    --------
    >>> split("select 1; do $$ begin perform 2; end $$;")
    ['select 1', 'do $$ begin perform 2; end $$']
    """
    return [statement for piece in _pieces(text) if (statement := piece.rstrip(";").strip())]


def first_word(statement: str) -> str:
    """The first keyword of `statement` in lower case; empty when it has none."""
    for kind, token in _tokens(statement):
        if kind not in ("space", "comment"):
            return token.lower() if kind == "word" else ""
    return ""


def _pieces(text: str) -> Iterator[str]:
    start = position = 0
    nesting = _Nesting()
    for kind, token in _tokens(text):
        position += len(token)
        if token == ";" and nesting.open == 0:
            yield text[start:position]
            start, nesting = position, _Nesting()
        else:
            nesting.feed(kind, token)
    yield text[start:]


class _Nesting:
    """How many parentheses and `begin atomic` bodies are open within one statement."""

    def __init__(self) -> None:
        self._parentheses = 0
        self._bodies = 0
        self._previous = ""

    @property
    def open(self) -> int:
        return self._parentheses + self._bodies

    def feed(self, kind: str, token: str) -> None:
        if kind in ("space", "comment"):
            return
        word = token.lower()
        if word == "(":
            self._parentheses += 1
        elif word == ")":
            self._parentheses = max(0, self._parentheses - 1)
        elif word == "atomic" and self._previous == "begin":
            self._bodies += 1
        elif self._bodies and kind == "word":
            self._bodies += {"case": 1, "end": -1}.get(word, 0)
        self._previous = word


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Cut `text` into (kind, token); every character of it is in exactly one token."""
    position = 0
    while match := _TOKEN.match(text, position):
        kind, end = str(match.lastgroup), match.end()
        if kind == "dollar_quote":
            end = _after(text, match.group(), end)
        elif kind == "block_comment":
            end = _comment_end(text, position)
        elif match.group() in ("'", '"'):  # a whole one would have matched above
            raise ValueError(f"line {_line(text, position)}: a {match.group()} is never closed")
        yield ("comment" if kind.endswith("_comment") else kind), text[position:end]
        position = end


def _after(text: str, delimiter: str, start: int) -> int:
    found = text.find(delimiter, start)
    if found < 0:
        raise ValueError(f"line {_line(text, start)}: {delimiter} is never closed")
    return found + len(delimiter)


def _comment_end(text: str, start: int) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):  # Postgres' comments nest
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    raise ValueError(f"line {_line(text, start)}: this comment is never closed")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
