"""Reads the parent's lines in the child: its task, until when the child may live, and whether it may log out.

The parent gives the time by the monotonic clock, which all processes of a machine share. So a line that is read late
does not lengthen the child's life. When the time is over, the kernel ends the process by SIGALRM, which no code here
handles. So the child also ends while it hangs, and while its parent is stopped. If the child itself was stopped, it
ends as soon as it runs again.
"""

import json
import os
import signal
import threading
import time
from typing import Any

# The shortest time for setitimer. Zero would switch the timer off.
_AT_ONCE_SECONDS = 1e-6


class Lifeline:
    """Reads the parent's lines, and ends the process when its time is over or the parent is gone.

    Parameters
    ----------
    descriptor : int
        The file descriptor to read; standard input by default.

    Attributes
    ----------
    confirmed : threading.Event
        Set when the parent confirms that the child may log its device out.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self.confirmed = threading.Event()
        self._descriptor = descriptor
        self._unread = b""

    def task(self) -> dict[str, Any]:
        """Return the first line, and start a thread that obeys the later lines. Call this once, in the main thread."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        while not (lines := self._read()):
            pass
        self._obey(lines)
        threading.Thread(target=self._follow, daemon=True).start()
        return lines[0]

    def _follow(self) -> None:
        while True:
            self._obey(self._read())

    def _obey(self, lines: list[dict[str, Any]]) -> None:
        # Obey only the newest time. An earlier time may be over, although the parent has renewed its lease since.
        if moments := [line["until"] for line in lines if "until" in line]:
            _live_until(moments[-1])
        if any("confirm" in line for line in lines):
            self.confirmed.set()

    def _read(self) -> list[dict[str, Any]]:
        """Wait for input, and return the lines that are complete. End the process at the end of input."""
        data = os.read(self._descriptor, 65536)
        if not data:
            os._exit(0)
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines]


def _live_until(moment: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, max(moment - time.monotonic(), _AT_ONCE_SECONDS))
