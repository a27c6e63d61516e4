"""One client's connection: WebSocket messages → frames → Noise → nodes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from infra.sandbox import binary, noise
from infra.sandbox.binary import Node
from infra.sandbox.keys import KeyPair

_ROUTING_INFO = b"ED\0\1"
_LENGTH_SIZE = 3


class ChannelClosedError(Exception):
    """The client's connection has ended."""


class Channel:
    """Carries nodes, after `handshake`.

    Parameters
    ----------
    websocket
        The accepted WebSocket.
    """

    def __init__(self, websocket: ServerConnection) -> None:
        self._websocket = websocket
        self._buffer = bytearray()
        self._reader: noise.Cipher | None = None
        self._writer: noise.Cipher | None = None
        # The nonce of a frame is its position in the stream. So no other frame may come between encryption and sending.
        self._sending = asyncio.Lock()

    async def handshake(self, static: KeyPair, certificate_chain: bytes) -> noise.Established:
        """Take the client through the Noise handshake.

        Raises
        ------
        NoiseError
            The client breaks the rules of the handshake.
        """
        await self._read_intro()
        responder = noise.Responder(static, certificate_chain)
        await self._write_frame(responder.hello(await self._read_frame()))
        established = responder.finish(await self._read_frame())
        self._reader, self._writer = established.reader, established.writer
        return established

    async def send(self, node: Node) -> None:
        """Send one node."""
        assert self._writer is not None
        async with self._sending:
            await self._write_frame(self._writer.encrypt(binary.encode(node)))

    async def receive(self) -> Node:
        """Wait for the next node.

        Raises
        ------
        ChannelClosedError
            The connection ends first.
        NoiseError, BinaryError
            The frame cannot be decrypted, or it is not a node.
        """
        assert self._reader is not None
        return binary.decode(self._reader.decrypt(await self._read_frame()))

    async def close(self, after: float = 0) -> None:
        """Close the connection properly. Before that, give the client `after` seconds to close it itself."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._websocket.wait_closed(), after)
        await self._websocket.close()

    def cut(self) -> None:
        """End the connection as a broken network does."""
        self._websocket.transport.abort()

    async def wait_closed(self) -> None:
        """Drop every message until the connection has ended."""
        while True:
            try:
                await self._receive_message()
            except ChannelClosedError:
                return

    async def _read_intro(self) -> None:
        start = await self._read(len(noise.PROLOGUE))
        if start == _ROUTING_INFO:
            await self._read_frame()
            start = await self._read(len(noise.PROLOGUE))
        if start != noise.PROLOGUE:
            raise noise.NoiseError("the client does not begin with the expected four bytes")

    async def _read_frame(self) -> bytes:
        return await self._read(int.from_bytes(await self._read(_LENGTH_SIZE), "big"))

    async def _read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._buffer += await self._receive_message()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _receive_message(self) -> bytes:
        try:
            message = await self._websocket.recv()
        except ConnectionClosed:
            raise ChannelClosedError from None
        return message.encode() if isinstance(message, str) else message

    async def _write_frame(self, frame: bytes) -> None:
        try:
            await self._websocket.send(len(frame).to_bytes(_LENGTH_SIZE, "big") + frame)
        except ConnectionClosed:
            raise ChannelClosedError from None
