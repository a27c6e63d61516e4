"""Every function of a disturbed system loads this. It shifts the clock, and allocates memory on SIGUSR1."""

from __future__ import annotations

import datetime as module
import os
import signal
import time
from typing import Any

AHEAD = float(os.environ.get("FAULT_CLOCK_SECONDS", "0"))
BALLAST_MEGABYTES = 1024

_ballast: list[bytearray] = []
_time, _datetime = time.time, module.datetime


def _eat(*_: object) -> None:
    # The memory is written to, because unwritten pages do not count.
    _ballast.append(bytearray(b"x") * (BALLAST_MEGABYTES * 1024 * 1024))


class _AnyDatetime(type):
    """Accept datetimes of the original class, because C code makes those."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _datetime)


class _Datetime(_datetime, metaclass=_AnyDatetime):
    @classmethod
    def now(cls, tz: module.tzinfo | None = None) -> Any:
        return _datetime.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _datetime.fromtimestamp(time.time(), module.UTC).replace(tzinfo=None)


signal.signal(signal.SIGUSR1, _eat)
if AHEAD:
    time.time = lambda: _time() + AHEAD
    time.time_ns = lambda: int(time.time() * 1e9)
    module.datetime = _Datetime  # type: ignore[misc]
