"""Keeps the files of the ``logs`` folder bounded while their writers go on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

MAX_LOG_BYTES = 10 * 1024 * 1024
CHECK_SECONDS = 1.0


def shorten(log: Path, limit: int) -> None:
    """Move a log that is too long to ``NAME.old`` and go on with an empty one.

    The writers keep the file open in append mode, so it is emptied and not renamed. What they write while it is
    copied is lost.
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
