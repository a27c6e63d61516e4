"""Runs one command with a limit of time. When the time is over, it ends the processes of this command and no others."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.children import ChildGuard

# pytest needs this long after SIGINT to end the servers that its fixtures have started.
_GRACE_SECONDS = 60.0


@dataclass(frozen=True)
class Done:
    """How a command has ended. `status` is None when its time was over."""

    status: int | None
    output: str

    @property
    def last_line(self) -> str:
        """The last line of the output that is not empty."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.status}, without a word"


class Runner:
    """Runs commands in one folder, each in a process group of its own.

    Parameters
    ----------
    folder
        The working directory.
    log
        The file to which the output of all commands is added.
    guard
        Ends a command's processes if this process is killed.
    """

    def __init__(self, folder: Path, log: Path, guard: ChildGuard) -> None:
        self.folder = folder
        self.log = log
        self._guard = guard

    def run(self, command: Sequence[str | Path], seconds: float, environment: Mapping[str, str] | None = None) -> Done:
        """Run a command for at most `seconds`. `environment` adds variables."""
        log = self.log.open("ab")
        log.write(f"\n$ {' '.join(map(str, command))}\n".encode())
        log.flush()
        start = log.tell()
        with (
            log,
            subprocess.Popen(
                [*map(str, command)],
                cwd=self.folder,
                env=_environment() | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # In a session of its own, the command does not get the terminal's Ctrl-C. This process gets it.
                start_new_session=True,
            ) as process,
        ):
            self._guard.watch(process.pid)
            try:
                status: int | None = process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                _end(process)
                self._guard.unwatch(process.pid)
        with self.log.open("rb") as written:
            written.seek(start)
            return Done(status, written.read().decode(errors="replace"))


def _environment() -> dict[str, str]:
    # An outer make passes its options and variables to every make that a command runs, as VERSION and PYTHON.
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command's process group: politely, and then by SIGKILL. Do nothing when the command has ended."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
