"""Which WhatsApp the engine talks to: the sandbox, another loopback one, or the real one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from infra.local.errors import LocalError
from infra.local.guard import Guard

START_SECONDS = 30.0
STOP_SECONDS = 5.0

# The layer whose functions hold the engine; only they may see the sandbox's proxy.
ENGINE_LAYER = "EngineLayer"


@dataclass(frozen=True)
class WhatsApp:
    """The WhatsApp of this run.

    Attributes
    ----------
    mode
        ``sandbox``, ``live`` or ``external``.
    environment
        What the functions with the engine need to find it.
    control_url
        The sandbox's HTTP control, where there is one.
    """

    mode: str
    environment: Mapping[str, str] = field(default_factory=dict)
    control_url: str | None = None


def external(proxy_url: str, ca_file: Path, root_hex: str) -> WhatsApp:
    """Another loopback WhatsApp."""
    if not ca_file.is_file():
        raise LocalError(f"--whatsapp-ca: there is no file {ca_file}")
    return WhatsApp("external", _engine_environment(proxy_url, ca_file.resolve(), root_hex))


class Sandbox:
    """The process of `infra.sandbox`."""

    def __init__(self, data_dir: Path, guard: Guard) -> None:
        self._data_dir = data_dir
        self._log_path = data_dir.with_name("logs") / "sandbox.log"
        self._guard = guard
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> WhatsApp:
        """Start it and wait until it can be used.

        Raises
        ------
        LocalError
            It does not start, for example because this is not Linux.
        """
        if not sys.platform.startswith("linux"):
            raise LocalError("the sandbox WhatsApp runs on Linux only; use --live to talk to the real WhatsApp")
        with self._log_path.open("ab") as log:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "infra.sandbox",
                "--data-dir",
                str(self._data_dir),
                "--exit-with-parent",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=Path(__file__).parents[2],
                start_new_session=True,
            )
        self._guard.watch(process.pid)
        assert process.stdout is not None
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                line = await process.stdout.readline()
        if not line.startswith(b"ready "):
            raise LocalError(f"the sandbox WhatsApp does not start; see {self._log_path}")
        said = json.loads(line.removeprefix(b"ready "))
        environment = _engine_environment(said["proxy"], Path(said["ca"]), said["root"])
        return WhatsApp("sandbox", environment, said["control"])

    async def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
                    break
        self._guard.forget(process.pid)


class SandboxControl:
    """The sandbox's phone, for the runner's own paths."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession()

    async def call(self, method: str, path: str, body: object = None, query: str = "") -> tuple[int, bytes]:
        """One call; the sandbox's status and JSON."""
        target = f"{self._url}{path}" + (f"?{query}" if query else "")
        async with self._session.request(method, target, json=body) as response:
            return response.status, await response.read()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def _engine_environment(proxy_url: str, ca_file: Path, root_hex: str) -> dict[str, str]:
    from infra.sandbox import engine_environment

    try:
        return engine_environment(proxy_url, ca_file, root_hex)
    except (RuntimeError, ValueError) as error:
        raise LocalError(str(error)) from error
