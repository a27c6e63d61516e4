"""Which WhatsApp the engine talks to: the sandbox, another loopback one, or the real one."""

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
        Tells it from every other WhatsApp; the database's mark holds it.
    environment
        What the functions with the engine need to find it.
    control_url
        The sandbox's HTTP control, where there is one.
    """

    mode: str
    id: str
    environment: Mapping[str, str] = field(default_factory=dict)
    control_url: str | None = None


def real_whatsapp(caller: Mapping[str, str]) -> WhatsApp:
    """The real WhatsApp, by way of the proxy and the CAs that the caller's environment names."""
    return WhatsApp("live", "live", for_the_real_whatsapp(caller))


def external_whatsapp(proxy_url: str, ca_file: Path, root_hex: str) -> WhatsApp:
    """Another loopback WhatsApp."""
    if not ca_file.is_file():
        raise ToolError(f"--whatsapp-ca: there is no file {ca_file}")
    try:
        return WhatsApp("external", _id(root_hex), engine_environment(proxy_url, ca_file.resolve(), root_hex))
    except (UnsupportedPlatformError, ValueError) as error:
        raise ToolError(str(error)) from error


class Sandbox:
    """The process of `infra.sandbox`."""

    def __init__(self, data_dir: Path, guard: ChildGuard) -> None:
        self._data_dir = data_dir
        self._log_path = data_dir.with_name("logs") / "sandbox.log"
        self._guard = guard
        self._process: SandboxProcess | None = None

    def start(self) -> WhatsApp:
        """Start it and wait until it can be used.

        Raises
        ------
        ToolError
            It does not start, for example because this is not Linux.
        """
        try:
            with self._log_path.open("ab") as log:
                self._process = process = SandboxProcess.start(self._data_dir, log)
        except (RuntimeError, OSError) as error:
            raise ToolError(str(error)) from error
        self._guard.watch(process.pid)
        return WhatsApp("sandbox", _id(process.ready["root"]), process.engine_environment(), process.ready["control"])

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()
            self._guard.unwatch(self._process.pid)


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


def _id(root_hex: str) -> str:
    """The id of a loopback WhatsApp: a digest of its trust root, which no other has."""
    return f"root {hashlib.sha256(root_hex.lower().encode()).hexdigest()[:16]}"
