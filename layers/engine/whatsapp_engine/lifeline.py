"""The child's standard input: its task, until when it may live, and whether it may log out.

The parent names that moment by the monotonic clock, which all processes of a machine share. So a line that was read
late gives no time on top. The kernel ends the process at that moment, by a signal that nothing here handles. So the
child ends also while it hangs, while its parent is stopped, or as soon as it runs again after it was stopped itself.
"""

import json
import os
import signal
import threading
import time
from typing import Any

# A timer of zero would be none.
_AT_ONCE_SECONDS = 1e-6


class Lifeline:
    """Reads what the parent says, and ends the process when its time is over or the parent is gone.

    Parameters
    ----------
    descriptor : int
        What to read; standard input by default.

    Attributes
    ----------
    confirmed : threading.Event
        Is set when the parent confirms that the child may log its device out.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self.confirmed = threading.Event()
        self._descriptor = descriptor
        self._unread = b""

    def task(self) -> dict[str, Any]:
        """Return the first line. From then on the process ends as the lines say. Call it in the main thread, once."""
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
        # Only the last moment counts: the parent may have renewed its lease since.
        if moments := [line["until"] for line in lines if "until" in line]:
            _live_until(moments[-1])
        if any("confirm" in line for line in lines):
            self.confirmed.set()

    def _read(self) -> list[dict[str, Any]]:
        """Return every line that has come."""
        data = os.read(self._descriptor, 65536)
        if not data:
            os._exit(0)
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines]


def _live_until(moment: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, max(moment - time.monotonic(), _AT_ONCE_SECONDS))
