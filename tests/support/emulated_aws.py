"""Runs ``infra.rehearsal``: an AWS on a free port of this machine. Everything that it writes is removed at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3

from infra.children import ChildGuard
from infra.ports import free_port
from tests.support.stack import PATIENCE_SECONDS, ROOT, call

PYTHON = ROOT / ".venv-rehearsal" / "bin" / "python"
REGION = "eu-west-1"


class EmulatedAws:
    """The running emulator: its address, and clients of its services.

    Parameters
    ----------
    folder
        Where the emulator and its functions write.
    functions_environment
        What every function gets beside its own variables.
    """

    def __init__(self, folder: Path, functions_environment: Mapping[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        # The emulator unpacks the layers of each function here, which takes a gigabyte.
        temporary = folder / "tmp"
        temporary.mkdir()
        settings = {
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_REGION": REGION,
            "TMPDIR": str(temporary),
            "FUNCTIONS_ENVIRONMENT": json.dumps(dict(functions_environment)),
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [PYTHON, "-m", "infra.rehearsal"],
                env={"PATH": os.environ["PATH"], **settings},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard = ChildGuard()
        self._guard.watch(self._process.pid)
        self._temporary = temporary

    def wait(self) -> None:
        """Wait until it answers."""
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(OSError):
                if call("GET", f"{self.url}/_ministack/health").status == 200:
                    return
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.2)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which AWS's tools come here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, service: str) -> Any:
        """Return a client of one service."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def stop(self) -> None:
        """End it with all its functions, and remove what they have written."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._guard.unwatch(self._process.pid)
        self._guard.close()
        shutil.rmtree(self._temporary, ignore_errors=True)


@contextmanager
def emulating(folder: Path, functions_environment: Mapping[str, str]) -> Iterator[EmulatedAws]:
    """Run an emulator until the block ends."""
    aws = EmulatedAws(folder, functions_environment)
    try:
        aws.wait()
        yield aws
    finally:
        aws.stop()
