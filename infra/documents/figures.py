"""Writes measured figures into a section of a file, with the date and the machine."""

from __future__ import annotations

import contextlib
import io
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

_HEADING = "\n## "


class _Tee(io.TextIOBase):
    """Prints a text, and also keeps it."""

    def __init__(self, shown: TextIO) -> None:
        self._shown = shown
        self.kept = io.StringIO()

    def write(self, text: str) -> int:
        self._shown.write(text)
        self._shown.flush()
        return self.kept.write(text)


def record(path: Path, command: str, section: str, measure: Callable[[], int | None]) -> int:
    """Run a measurement, and write what it prints into a section of a file.

    Parameters
    ----------
    path : Path
        The file. It exists, because its title and its other sections are kept.
    command : str
        How a person runs the measurement, for example ``make bench WHAT=load``.
    section : str
        Heading of the section. A section of this name is replaced, and a new one comes last.
    measure : callable
        Prints Markdown. It returns 0 or None if the figures are good. Otherwise the file stays as it is.

    Returns
    -------
    int
        The number that ``measure`` has returned (0 for None), for the command's exit status.
    """
    tee = _Tee(sys.stdout)
    with contextlib.redirect_stdout(tee):
        status = measure() or 0
    if status == 0:
        origin = f"By `{command}` on {datetime.now(UTC):%Y-%m-%d}: {_machine()}."
        body = f"{origin}\n\n{tee.kept.getvalue().strip()}"
        path.write_text(_replaced(path.read_text("utf-8"), section, body), "utf-8")
        print(f"\nWritten to {path}.")
    return status


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}"


def _replaced(text: str, section: str, body: str) -> str:
    """Return the file's text with this body in its section."""
    head, *parts = text.rstrip("\n").split(_HEADING)
    sections = {heading: rest.strip() for heading, _, rest in (part.partition("\n") for part in parts)}
    sections[section] = body
    return head.rstrip() + "".join(f"\n{_HEADING}{heading}\n\n{rest}" for heading, rest in sections.items()) + "\n"
