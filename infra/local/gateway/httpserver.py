"""Functions for both HTTP servers of the local system, which use aiohttp's low-level server."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from aiohttp import web

from infra.errors import ToolError


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket to a port, without listening. Until a server listens, clients are refused at once.

    Raises
    ------
    ToolError
        The host is no address of this machine, the port is taken, or this user may not use it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ToolError(f"cannot listen on {host}: {getattr(error, 'strerror', None) or error}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise ToolError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listening


def is_loopback(listening: socket.socket) -> bool:
    """Whether only this machine reaches a bound socket."""
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def own_url(listening: socket.socket) -> str:
    """Return the URL with which this machine reaches a bound socket."""
    host, port = listening.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{address}:{port}" if address.version == 4 else f"http://[{address}]:{port}"


def body_limit(limit: int) -> Callable[..., web.BaseRequest]:
    """Return a request factory. Its requests refuse a body of more than `limit` bytes (413)."""

    def make(message: Any, payload: Any, protocol: Any, writer: Any, task: asyncio.Task[None]) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=limit)

    return make
