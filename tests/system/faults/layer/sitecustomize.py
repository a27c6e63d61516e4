"""Loaded by every function of a case's system: shifts its clock, and eats memory when told to by SIGUSR1."""

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
    # Written to, or it would not be resident.
    _ballast.append(bytearray(b"x") * (BALLAST_MEGABYTES * 1024 * 1024))


class _AnyDatetime(type):
    """C makes datetimes of the original class; they must pass for ours."""

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
