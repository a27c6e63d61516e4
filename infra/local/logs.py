"""Limits the size of the log files while programs write to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

MAX_LOG_BYTES = 10 * 1024 * 1024
CHECK_SECONDS = 1.0


def shorten(log: Path, limit: int) -> None:
    """Copy a log that is too long to ``NAME.old``, and empty it.

    The writers keep the file open in append mode, so the file must not be renamed. Lines that they write during the
    copy are lost.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > limit:
            shutil.copyfile(log, log.with_name(f"{log.name}.old"))
            os.truncate(log, 0)


async def keep_short(folder: Path) -> None:
    """Shorten every ``*.log`` of a folder, until cancelled."""
    while True:
        for log in folder.glob("*.log"):
            await asyncio.to_thread(shorten, log, MAX_LOG_BYTES)
        await asyncio.sleep(CHECK_SECONDS)
