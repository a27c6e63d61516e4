"""A connected client: its state, the requests to it and from it, and the end of its connection."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Literal

from infra.sandbox.binary import SERVER, Jid, Node, Value
from infra.sandbox.channel import Channel, ChannelClosedError
from infra.sandbox.errors import ClientSilentError, SandboxError, SocketClosedError

State = Literal["handshake", "pairing", "login", "online"]
Handler = Callable[[Node], Awaitable[None]]

_ANSWER_SECONDS = 20
# A client that sees the end of the connection drops the messages that it has not handled yet. So the sandbox first
# waits for the client to close the connection.
_LAST_WORD_SECONDS = 1

log = logging.getLogger(__name__)


class Client:
    """One connection and its protocol state.

    Parameters
    ----------
    number
        A number to tell connections apart.
    channel
        The connection.
    """

    def __init__(self, number: int, channel: Channel) -> None:
        self.number = number
        self.channel = channel
        self.state: State = "handshake"
        self.jid: Jid | None = None
        self.opened_at = time.time()
        self.noise_key = b""
        # The version of WhatsApp Web that the client announces. WhatsApp refuses old versions.
        self.version = ""
        self._ids = itertools.count(1)
        self._questions: dict[str, asyncio.Future[Node]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, handle: Handler) -> None:
        """Read nodes until the connection ends. `ask` gets its answers, and `handle` gets all other nodes."""
        try:
            while True:
                node = await self.channel.receive()
                question = self._questions.pop(node.attribute("id"), None) if _is_answer(node) else None
                if question is None:
                    await handle(node)
                elif not question.done():
                    question.set_result(node)
        except ChannelClosedError:
            return

    def end(self) -> None:
        """Stop all tasks of this client, and raise in each `ask` that still waits for an answer."""
        for task in self._tasks:
            task.cancel()
        for question in self._questions.values():
            if not question.done():
                question.set_exception(SocketClosedError("The client closed its connection."))

    def start(self, work: Coroutine[object, object, None], after: float = 0) -> None:
        """Do `work` after some seconds, unless the connection ends before."""
        task = asyncio.create_task(_later(work, after))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, *content: Node) -> Node:
        """Send a request about the device (`md`) and return the client's answer.

        Raises
        ------
        SocketClosedError
            The connection ends before the answer.
        ClientSilentError
            There is no answer in time.
        """
        identifier = f"sandbox-{self.number}-{next(self._ids)}"
        question = self._questions[identifier] = asyncio.get_running_loop().create_future()
        attributes: dict[str, Value] = {"from": SERVER, "type": "set", "id": identifier, "xmlns": "md"}
        try:
            await self.channel.send(Node("iq", attributes, content))
            return await asyncio.wait_for(question, _ANSWER_SECONDS)
        except ChannelClosedError:
            raise SocketClosedError("The client closed its connection.") from None
        except TimeoutError:
            raise ClientSilentError(f"The client did not answer within {_ANSWER_SECONDS} seconds.") from None
        finally:
            self._questions.pop(identifier, None)

    async def answer(self, request: Node, *content: Node) -> None:
        """Send the result of a client's request."""
        attributes: dict[str, Value] = {"from": SERVER, "type": "result", "id": request.attribute("id")}
        await self.channel.send(Node("iq", attributes, content or None))

    async def refuse(self, request: Node, code: str, text: str) -> None:
        """Send an error for a client's request."""
        attributes: dict[str, Value] = {"from": SERVER, "type": "error", "id": request.attribute("id")}
        error = Node("error", {"code": code, "text": text})
        await self.channel.send(Node("iq", attributes, [error]))

    async def fail(self, reason: int) -> None:
        """Refuse the login with a reason, and return when the connection has ended."""
        attributes = {"reason": str(reason)}
        if reason == 402:
            attributes |= {"code": "101", "expire": "3600"}
        await self.channel.send(Node("failure", attributes))
        await self.channel.close(_LAST_WORD_SECONDS)

    async def stream_error(self, code: str = "", conflict: str = "") -> None:
        """Send the client away. The connection ends a moment later."""
        content = [Node("conflict", {"type": conflict})] if conflict else None
        try:
            await self.channel.send(Node("stream:error", {"code": code} if code else {}, content))
        except ChannelClosedError:
            return
        self.start(self.channel.close(_LAST_WORD_SECONDS))


def _is_answer(node: Node) -> bool:
    return node.tag == "iq" and node.attribute("type") in ("result", "error")


async def _later(work: Coroutine[object, object, None], seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        work.close()
        raise
    try:
        await work
    except (ChannelClosedError, SandboxError) as error:
        log.debug("a client went away: %r", error)
