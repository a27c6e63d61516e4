"""The WhatsApp of a run: the sandbox, another simulated WhatsApp, or the real one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from infra.children import ChildGuard
from infra.errors import ToolError
from infra.local.environment import for_the_real_whatsapp
from infra.sandbox import UnsupportedPlatformError, engine_environment
from infra.sandbox.process import SandboxProcess


@dataclass(frozen=True)
class WhatsApp:
    """The WhatsApp of this run.

    Attributes
    ----------
    mode
        ``sandbox``, ``live`` or ``external``.
    id
        Identifies this WhatsApp. The mark in the database holds the same id.
    environment
        The variables with which the functions with the engine find this WhatsApp.
    control_url
        The address of the sandbox's HTTP control; None for another WhatsApp.
    """

    mode: str
    id: str
    environment: Mapping[str, str] = field(default_factory=dict)
    control_url: str | None = None


def real_whatsapp(caller: Mapping[str, str]) -> WhatsApp:
    """Return the real WhatsApp. The caller's environment may name a proxy and CAs for it."""
    return WhatsApp("live", "live", for_the_real_whatsapp(caller))


def external_whatsapp(proxy_url: str, ca_file: Path, root_hex: str) -> WhatsApp:
    """Return another simulated WhatsApp, which runs already."""
    if not ca_file.is_file():
        raise ToolError(f"--whatsapp-ca: there is no file {ca_file}")
    try:
        return WhatsApp("external", _id(root_hex), engine_environment(proxy_url, ca_file.resolve(), root_hex))
    except (UnsupportedPlatformError, ValueError) as error:
        raise ToolError(str(error)) from error


class Sandbox:
    """Starts and ends the process of `infra.sandbox`."""

    def __init__(self, data_dir: Path, guard: ChildGuard) -> None:
        self._data_dir = data_dir
        self._log_path = data_dir.with_name("logs") / "sandbox.log"
        self._guard = guard
        self._process: SandboxProcess | None = None

    def start(self) -> WhatsApp:
        """Start the sandbox and wait until it can be used.

        Raises
        ------
        ToolError
            The sandbox does not start, for example because this is not Linux.
        """
        try:
            with self._log_path.open("ab") as log:
                self._process = process = SandboxProcess.start(self._data_dir, log)
        except (RuntimeError, OSError) as error:
            raise ToolError(str(error)) from error
        self._guard.watch(process.pid)
        return WhatsApp("sandbox", _id(process.ready["root"]), process.engine_environment(), process.ready["control"])

    def stop(self) -> None:
        """End the sandbox."""
        if self._process is not None:
            self._process.stop()
            self._guard.unwatch(self._process.pid)


class SandboxControl:
    """Calls the sandbox's phone, for the local system's own paths."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession()

    async def call(self, method: str, path: str, body: object = None, query: str = "") -> tuple[int, bytes]:
        """Make one call, and return the sandbox's status and JSON."""
        target = f"{self._url}{path}" + (f"?{query}" if query else "")
        async with self._session.request(method, target, json=body) as response:
            return response.status, await response.read()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def _id(root_hex: str) -> str:
    """Return the id of a simulated WhatsApp: a digest of its trust root, which no other WhatsApp has."""
    return f"root {hashlib.sha256(root_hex.lower().encode()).hexdigest()[:16]}"
