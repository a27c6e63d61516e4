"""Starts a sandbox as a process of its own, and ends it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Self

from .client import SandboxClient
from .environment import engine_environment

_START_SECONDS = 30
_STOP_SECONDS = 5
_PROJECT = Path(__file__).parents[2]


class SandboxProcess:
    """A running sandbox; use `start`. It ends with this process, whatever becomes of it.

    Attributes
    ----------
    ready
        The ready line's object: `control`, `proxy`, `ca`, `root`.
    client
        A client of its HTTP control.
    """

    def __init__(self, process: subprocess.Popen[bytes], ready: dict[str, str]) -> None:
        self._process = process
        self.ready = ready
        self.client = SandboxClient(ready["control"])

    @classmethod
    def start(cls, data_dir: Path, control_port: int = 0, proxy_port: int = 0) -> Self:
        """Start a sandbox and wait until it can be used.

        Raises
        ------
        RuntimeError
            When it ends, or does not say that it is ready in time; its standard error says why.
        """
        command = [sys.executable, "-m", "infra.sandbox", "--exit-with-parent", "--data-dir", str(data_dir)]
        command += ["--control-port", str(control_port), "--proxy-port", str(proxy_port)]
        path = os.pathsep.join(filter(None, [str(_PROJECT), os.environ.get("PYTHONPATH")]))
        process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout
        readable, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
        line = process.stdout.readline().decode() if readable else ""
        if not line.startswith("ready "):
            process.kill()
            with process:  # waits, and closes the pipes
                pass
            raise RuntimeError("the sandbox did not start; its standard error says why")
        return cls(process, json.loads(line.removeprefix("ready ")))

    def engine_environment(self) -> dict[str, str]:
        """Return what a process that spawns the engine needs in its environment."""
        return engine_environment(self.ready["proxy"], Path(self.ready["ca"]), self.ready["root"])

    def stop(self) -> int:
        """End it and return its exit code."""
        self._process.terminate()
        with self._process:  # closes the pipes
            try:
                return self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                return self._process.wait()
