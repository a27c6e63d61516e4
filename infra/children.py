"""A process that outlives a killed runner just long enough to end its children.

The runner tells it, over a pipe, which processes it started. When the pipe closes without a farewell, however the
runner ended, the guard ends what is left. It imports next to nothing: it is started first and stays.

Lines: ``+PID SIGNAL`` a process group to end with that signal, ``-PID`` one that has ended, ``bye`` nothing is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys


class ChildGuard:
    """The runner's end of the pipe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # A terminal's Ctrl-C is for the runner alone.
            start_new_session=True,
        )

    def watch(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        """End the process group `pid` with that signal, should the runner be killed."""
        self._tell(f"+{pid} {int(number)}")

    def unwatch(self, pid: int) -> None:
        """The process group has ended."""
        self._tell(f"-{pid}")

    def close(self) -> None:
        """Everything has ended; so does the guard."""
        self._tell("bye")
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        # A guard that somebody killed is no reason to fail: it is the second line of defence.
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()


def _run() -> None:
    groups: dict[int, int] = {}
    for line in sys.stdin:
        word = line.strip()
        if word == "bye":
            return
        if word.startswith("+"):
            pid, _, number = word[1:].partition(" ")
            groups[int(pid)] = int(number)
        elif word.startswith("-"):
            groups.pop(int(word[1:]), None)
    for pid, number in groups.items():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)


if __name__ == "__main__":
    _run()
