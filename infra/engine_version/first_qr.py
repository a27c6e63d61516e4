"""Starts the child alone, with its own words in view. The engine's parent discards them, because they may hold secrets.

Nothing here is secret: the keys stay in memory, and WhatsApp is the simulated one.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from whatsapp_engine import protocol

from infra.children import ChildGuard
from infra.engine_version.candidate import Checkout
from infra.engine_version.report import Line, failed, ok
from infra.sandbox.process import SandboxProcess

_CHECK = "child.py alone gets a QR code"
_SECONDS = 60.0


def lines(candidate: Checkout, log: Path, guard: ChildGuard) -> Iterator[Line]:
    """Yield whether the candidate's child gets a QR code, and its last words if not."""
    with tempfile.TemporaryDirectory(prefix="whatsapp-engine-") as folder, log.open("ab") as sandbox_log:
        sandbox = SandboxProcess.start(Path(folder), sandbox_log)
        guard.watch(sandbox.pid)
        try:
            yield _first_qr(candidate, sandbox.engine_environment(), log)
        finally:
            sandbox.stop()
            guard.unwatch(sandbox.pid)


def _first_qr(candidate: Checkout, environment: dict[str, str], log: Path) -> Line:
    layers = [str(candidate.root / "layers" / name) for name in ("engine", "shared")]
    path = os.pathsep.join([*layers, environment["PYTHONPATH"]])
    reader, writer = os.pipe()
    until = time.monotonic() + _SECONDS
    task = json.dumps(protocol.task("pair", ":memory:", until))
    with log.open("ab") as written:
        start = written.seek(0, os.SEEK_END)
        with subprocess.Popen(
            [candidate.python, "-m", "whatsapp_engine.child", str(writer)],
            cwd=candidate.root,
            env={**os.environ, **environment, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=written,
            stderr=subprocess.STDOUT,
            pass_fds=[writer],
        ) as child:
            os.close(writer)
            assert child.stdin
            child.stdin.write(task.encode() + b"\n")
            child.stdin.flush()
            event = _wait(reader, until)
            child.kill()
    os.close(reader)
    if event == "qr":
        return ok(_CHECK, "from the simulated WhatsApp")
    said = log.read_bytes()[start:].decode(errors="replace").strip().splitlines()
    return failed(_CHECK, f"its last event is {event or 'none'}; its last words are: {said[-1] if said else 'none'}")


def _wait(reader: int, until: float) -> str:
    """Return `qr` when it comes, otherwise the last event before the child's end."""
    unread, last = b"", ""
    while (left := until - time.monotonic()) > 0 and select.select([reader], [], [], left)[0]:
        data = os.read(reader, 65536)
        if not data:
            break
        *complete, unread = (unread + data).split(b"\n")
        for name in (str(json.loads(line)["event"]) for line in complete):
            if name == "qr":
                return name
            last = last if name == "beat" else name
    return last
