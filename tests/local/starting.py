"""Starts the local stack in an environment of the test's own, and hears what it says."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.stack import ROOT

READY_SECONDS = 180
COMMAND = (sys.executable, "-m", "infra.local", "--port", "0")


@dataclass(frozen=True)
class Start:
    """How one start went.

    Attributes
    ----------
    url
        Of the ready line; None when the runner ended instead.
    said
        Its standard error until then, where `url` is None.
    """

    url: str | None
    said: str
    pid: int


@contextmanager
def started(
    data_dir: Path,
    environment: dict[str, str],
    *arguments: str,
    shell: str = ":",
) -> Iterator[Start]:
    """Start it, and end it with the block. `shell` is what the shell does ahead of it."""
    errors = data_dir.with_name(f"{data_dir.name}.stderr")
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            ["/bin/sh", "-c", f'{shell}; exec "$@"', "sh", *COMMAND, "--data-dir", str(data_dir), *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        assert process.stdout
        try:
            readable, _, _ = select.select([process.stdout], [], [], READY_SECONDS)
            line = process.stdout.readline() if readable else ""
            url = line.split()[1] if line.startswith("ready ") else None
            if readable and url is None:
                process.wait(READY_SECONDS)
            yield Start(url, errors.read_text(errors="replace"), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            finally:
                process.kill()
