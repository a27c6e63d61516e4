"""The CONNECT proxy. It leads web.whatsapp.com to the sandbox, and refuses every other host."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from infra.sandbox.certificates import HOST
from infra.sandbox.knobs import KnobBoard

_TARGET = f"{HOST}:443"
_HEAD_SECONDS = 10
_HEAD_LIMIT = 16_384
_CHUNK = 65_536
_REMEMBERED = 100


class Proxy:
    """Tunnels to one local port. It needs no network besides loopback.

    Parameters
    ----------
    port
        The port of WhatsApp's server on loopback.
    knobs
        The settings that make the sandbox misbehave.
    """

    def __init__(self, port: int, knobs: KnobBoard) -> None:
        self.refused: list[str] = []
        self.tunnels = 0
        self._port = port
        self._knobs = knobs
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> asyncio.Server:
        """Listen on loopback. Port 0 takes a free port."""
        return await asyncio.start_server(self._accept, "127.0.0.1", port, limit=_HEAD_LIMIT)

    async def stop(self) -> None:
        """End every tunnel."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            await self._tunnel(head, reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _tunnel(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, _, rest = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        target = rest.partition(" ")[0].lower()
        if method != "CONNECT" or target != _TARGET:
            self._remember(target)
            await _reply(writer, "403 Forbidden")
            return
        self.tunnels += 1
        if self._knobs.fail("refuse"):
            await _reply(writer, "503 Service Unavailable")
            return
        await _reply(writer, "200 Connection established")
        if self._knobs.fail("silent", "tcp"):
            await _drain(reader)
        else:
            await _join(reader, writer, *await asyncio.open_connection("127.0.0.1", self._port))

    def _remember(self, target: str) -> None:
        if target not in self.refused and len(self.refused) < _REMEMBERED:
            self.refused.append(target)


async def _reply(writer: asyncio.StreamWriter, status: str) -> None:
    writer.write(f"HTTP/1.1 {status}\r\n\r\n".encode())
    await writer.drain()


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(_CHUNK):
        pass


async def _join(
    client: asyncio.StreamReader,
    to_client: asyncio.StreamWriter,
    server: asyncio.StreamReader,
    to_server: asyncio.StreamWriter,
) -> None:
    """Copy both ways until either side ends."""
    copies = [asyncio.create_task(_copy(client, to_server)), asyncio.create_task(_copy(server, to_client))]
    try:
        await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        to_server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
