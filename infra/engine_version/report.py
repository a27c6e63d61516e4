"""Prints one line per check: ok or FAILED, the check, and a short reason."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

_WORD = {True: "ok", False: "FAILED"}


@dataclass(frozen=True)
class Line:
    """The result of one check."""

    holds: bool
    check: str
    reason: str

    def __str__(self) -> str:
        return f"{_WORD[self.holds]:6}  {self.check}: {self.reason}"


def ok(check: str, reason: str) -> Line:
    """Return the line of a check that holds."""
    return Line(True, check, reason)


def failed(check: str, reason: str) -> Line:
    """Return the line of a check that fails."""
    return Line(False, check, reason)


@dataclass
class Report:
    """Prints the lines of all checks, and counts them.

    Parameters
    ----------
    log
        The file for the traceback of a check that breaks.
    """

    log: Path
    lines: list[Line] = field(default_factory=list)

    def run(self, check: str, lines: Callable[[], Iterable[Line]]) -> bool:
        """Print each line of a group of checks when it comes, and return whether all hold.

        A group that raises gets a line that has failed. So the groups after it still run, and no failure is hidden.
        """
        before = len(self.lines)
        try:
            for line in lines():
                self._print(line)
        except Exception as error:
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"\n{check}\n{traceback.format_exc()}")
            self._print(failed(check, f"{_short(error)} ({self.log} has more)"))
        if len(self.lines) == before:
            self._print(failed(check, "it checked nothing"))
        return all(line.holds for line in self.lines[before:])

    @property
    def failures(self) -> int:
        """The number of lines that have failed."""
        return sum(not line.holds for line in self.lines)

    def _print(self, line: Line) -> None:
        self.lines.append(line)
        print(line, flush=True)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
