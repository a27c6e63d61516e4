"""What both of the runner's HTTP servers need of aiohttp's low-level server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from aiohttp import web

from infra.local.errors import LocalError


def bind(host: str, port: int) -> socket.socket:
    """Take a port without listening yet: until someone listens, a client is refused at once.

    Raises
    ------
    LocalError
        The port is taken or not ours to take.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise LocalError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listening


def body_limit(limit: int) -> Callable[..., web.BaseRequest]:
    """A request factory whose requests refuse a body of more than `limit` bytes (413)."""

    def make(message: Any, payload: Any, protocol: Any, writer: Any, task: asyncio.Task[None]) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=limit)

    return make
