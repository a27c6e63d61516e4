"""Measures the memory of process trees, and ends them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable

import psutil


def resident_megabytes(roots: Iterable[int]) -> dict[int, float]:
    """Return the resident memory of each process in `roots`, together with that of all its descendants.

    The process table is read once for all of them. A page that parent and child share counts twice, so the result may
    be too high, but never too low.
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
    """Kill a process, its group and its descendants, including those in other groups."""
    descendants: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        descendants = psutil.Process(pid).children(recursive=True)
    kill_group(pid)
    for process in descendants:
        with contextlib.suppress(psutil.Error):
            process.kill()


def kill_group(pid: int) -> None:
    """Kill the processes that are left in the group of `pid`."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
