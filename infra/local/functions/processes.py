"""Process trees: how much memory one holds, and its end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable

import psutil


def resident_megabytes(roots: Iterable[int]) -> dict[int, float]:
    """Resident memory of each process in `roots` together with all its descendants.

    One walk over the process table serves all of them. Pages that parent and child share count twice, so this errs
    on the strict side.
    """
    wanted = set(roots)
    parents: dict[int, int] = {}
    resident: dict[int, float] = {}
    for process in psutil.process_iter(["ppid", "memory_info"]):
        memory = process.info["memory_info"]
        if memory is not None and process.info["ppid"] is not None:
            parents[process.pid] = process.info["ppid"]
            resident[process.pid] = memory.rss / 1024 / 1024
    totals = dict.fromkeys(wanted, 0.0)
    for pid, megabytes in resident.items():
        ancestor = pid
        while ancestor in parents and ancestor not in wanted:
            ancestor = parents[ancestor]
        if ancestor in wanted:
            totals[ancestor] += megabytes
    return totals


def kill_tree(pid: int) -> None:
    """Kill a process, its group and its descendants, those in groups of their own too."""
    descendants: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        descendants = psutil.Process(pid).children(recursive=True)
    kill_group(pid)
    for process in descendants:
        with contextlib.suppress(psutil.Error):
            process.kill()


def kill_group(pid: int) -> None:
    """Kill what is left of the process group that `pid` led."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
