"""Ends the children of a runner that was killed.

`ChildGuard` starts a small process before all others. Over a pipe, the runner tells it which processes have started and
ended. If the pipe closes without ``bye``, the runner was killed, and the small process ends the children that are left.
It imports little, because it starts first and runs as long as the runner.

Lines on the pipe: ``+PID SIGNAL`` (end this process group with this signal), ``-PID`` (this group has ended), ``bye``
(no group is left).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys


class ChildGuard:
    """Starts the small process, and tells it which process groups to end."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            # In a session of its own, the process does not get the terminal's Ctrl-C. Only the runner gets it.
            start_new_session=True,
        )

    def watch(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        """If the runner is killed, end the process group `pid` with this signal."""
        self._tell(f"+{pid} {int(number)}")

    def unwatch(self, pid: int) -> None:
        """Leave the process group alone from now on, because it has ended."""
        self._tell(f"-{pid}")

    def close(self) -> None:
        """End the small process, after all process groups have ended."""
        self._tell("bye")
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        # The runner ends its children itself, and needs the small process only when it is killed. So if somebody has
        # killed the small process, the runner goes on.
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
