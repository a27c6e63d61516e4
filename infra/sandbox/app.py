"""Puts the sandbox together: the certificates, WhatsApp's server, the proxy in front of it, and the control."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from websockets.asyncio.server import serve

from infra.sandbox.certificates import TlsAuthority
from infra.sandbox.control import Control
from infra.sandbox.knobs import KnobBoard
from infra.sandbox.phone import Phone
from infra.sandbox.proxy import Proxy
from infra.sandbox.server import WhatsAppServer
from infra.sandbox.store import Store
from infra.sandbox.web import JsonServer

_MAX_MESSAGE = 1 << 22


@dataclass(frozen=True)
class Ready:
    """The addresses, the CA and the trust root of a running sandbox, as its ready line prints them."""

    control: str
    proxy: str
    ca: str
    root: str

    def as_dict(self) -> dict[str, str]:
        """Return it as the ready line's JSON object."""
        return asdict(self)


@asynccontextmanager
async def running(directory: Path, control_port: int, proxy_port: int) -> AsyncIterator[Ready]:
    """Run a sandbox with the data in `directory`, until the context ends."""
    async with AsyncExitStack() as stack:
        store = Store(directory)
        stack.callback(store.close)
        authority = TlsAuthority(directory)
        knobs = KnobBoard()
        whatsapp = WhatsAppServer(store, knobs)
        listener = await stack.enter_async_context(
            serve(
                whatsapp.serve,
                "127.0.0.1",
                0,
                ssl=authority.server_context(),
                compression=None,
                max_size=_MAX_MESSAGE,
                ping_interval=None,
            )
        )
        proxy = Proxy(_port(listener.sockets), knobs)
        tunnels = await stack.enter_async_context(await proxy.start(proxy_port))
        stack.push_async_callback(proxy.stop)
        control = JsonServer(Control(whatsapp, Phone(whatsapp), proxy).routes, control_port)
        stack.push_async_callback(control.stop)
        yield Ready(
            control=control.url,
            proxy=f"http://127.0.0.1:{_port(tunnels.sockets)}",
            ca=str(authority.ca_file.resolve()),
            root=store.noise_root.public.hex(),
        )


def _port(sockets: Iterable[socket.socket]) -> int:
    port: int = next(iter(sockets)).getsockname()[1]
    return port
