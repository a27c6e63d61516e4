"""Starts a sandbox as a process of its own, and ends it."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from pathlib import Path
from typing import IO, Self

from infra.sandbox.environment import engine_environment, require_linux

_START_SECONDS = 30
_STOP_SECONDS = 5
_PROJECT = Path(__file__).parents[2]


class SandboxProcess:
    """A running sandbox, made by `start`. It ends when this process ends, even if this process is killed.

    Attributes
    ----------
    pid
        The sandbox's process. It leads a process group of its own.
    ready
        The ready line's object: `control`, `proxy`, `ca`, `root`.
    """

    def __init__(self, process: subprocess.Popen[bytes], ready: dict[str, str]) -> None:
        self._process = process
        self.pid = process.pid
        self.ready = ready

    @classmethod
    def start(cls, data_dir: Path, log: IO[bytes] | None = None) -> Self:
        """Start a sandbox and wait until it can be used.

        Parameters
        ----------
        data_dir
            The folder for certificates and accounts.
        log
            A file for its standard error. By default it uses the standard error of this process.

        Raises
        ------
        RuntimeError
            This is not Linux, or the sandbox ends or is not ready in time. Its standard error says why.
        """
        require_linux()
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.sandbox", "--exit-with-parent", "--data-dir", str(data_dir.resolve())],
            cwd=_PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # In a session of its own, the sandbox does not get the terminal's Ctrl-C. This process gets it, and calls
            # `stop`.
            start_new_session=True,
        )
        assert process.stdout
        readable, _, _ = select.select([process.stdout], [], [], _START_SECONDS)
        line = process.stdout.readline().decode() if readable else ""
        if not line.startswith("ready "):
            process.kill()
            with process:  # waits, and closes the pipes
                pass
            raise RuntimeError(f"the sandbox did not start: {_last_line(log)}")
        return cls(process, json.loads(line.removeprefix("ready ")))

    def engine_environment(self) -> dict[str, str]:
        """Return the variables for a process that starts the engine."""
        return engine_environment(self.ready["proxy"], Path(self.ready["ca"]), self.ready["root"])

    def stop(self) -> int:
        """End the sandbox and return its exit code."""
        self._process.terminate()
        with self._process:  # closes the pipes
            try:
                return self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                return self._process.wait()


def _last_line(log: IO[bytes] | None) -> str:
    if log is None:
        return "its standard error says why"
    lines = Path(log.name).read_text(errors="replace").splitlines()
    return lines[-1] if lines else f"{log.name} is empty"
