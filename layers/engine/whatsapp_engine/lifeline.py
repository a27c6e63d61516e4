"""The child's standard input: its task, the moment until which it may live, and whether it may log out.

The parent gives the moment by the monotonic clock, which all processes of a machine share. So a line that the child
reads late adds no time. At that moment the kernel ends the process by SIGALRM, which nothing here handles. So the child
also ends while it hangs or while its parent is stopped. A child that was stopped ends as soon as it runs again.
"""

import json
import os
import signal
import threading
import time
from typing import Any

# setitimer with zero would clear the timer.
_AT_ONCE_SECONDS = 1e-6


class Lifeline:
    """Reads what the parent says, and ends the process when its time is over or the parent is gone.

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
        """Return the first line, and obey the later lines in a thread. Call it once, in the main thread."""
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
        # Only the last moment counts. The earlier ones may be over, although the parent has renewed its lease since.
        if moments := [line["until"] for line in lines if "until" in line]:
            _live_until(moments[-1])
        if any("confirm" in line for line in lines):
            self.confirmed.set()

    def _read(self) -> list[dict[str, Any]]:
        """Wait for input, and return each line that is complete."""
        data = os.read(self._descriptor, 65536)
        if not data:
            os._exit(0)
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines]


def _live_until(moment: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, max(moment - time.monotonic(), _AT_ONCE_SECONDS))
