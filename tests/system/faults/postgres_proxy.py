"""A proxy between the functions and Postgres. It can hold or lose an answer after Postgres has done its work."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil

WAIT_SECONDS = 60.0


@dataclass
class Trap:
    """The fault of the next call of a database function: its caller freezes, or the answer is lost.

    Attributes
    ----------
    pid : int
        The caller, when the call was caught.
    port : int
        The caller's connection, as ``pg_stat_activity.client_port`` has it.
    """

    function: str
    freezes: bool
    pid: int = 0
    port: int = 0
    caught: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Return when Postgres has answered the call."""
        assert self.caught.wait(WAIT_SECONDS), f"nobody called {self.function}"

    def release(self) -> None:
        """Let the caller go on."""
        self.released.set()
        if self.pid and self.freezes:
            with contextlib.suppress(ProcessLookupError):  # Lambda has killed it meanwhile
                os.kill(self.pid, signal.SIGCONT)


class PostgresProxy:
    """Passes every byte on to the Postgres on the port ``behind``, except for calls that a trap catches.

    Attributes
    ----------
    port : int
        The port on 127.0.0.1 where the proxy listens.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._trap: Trap | None = None
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening. Open connections end with their clients."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    @contextlib.contextmanager
    def trap(self, function: str, freezes: bool) -> Iterator[Trap]:
        """Catch the next call of this function. Its caller goes on after the block."""
        trap = Trap(function, freezes)
        with self._lock:
            self._trap = trap
        try:
            yield trap
        finally:
            with self._lock:
                self._trap = None
            trap.release()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            server = socket.create_connection(("127.0.0.1", self._behind))
            with server:
                traps: list[Trap] = []
                asking = threading.Thread(target=self._ask, args=(client, server, traps), daemon=True)
                asking.start()
                self._answer(client, server, traps)

    def _ask(self, client: socket.socket, server: socket.socket, traps: list[Trap]) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if trap := self._catches(data):
                    trap.port = server.getsockname()[1]
                    if trap.freezes:
                        trap.pid = _freeze(client.getpeername()[1])
                    traps.append(trap)
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _catches(self, data: bytes) -> Trap | None:
        with self._lock:
            if self._trap is None or f"whatsapp_private.{self._trap.function}(".encode() not in data:
                return None
            trap, self._trap = self._trap, None
            return trap

    def _answer(self, client: socket.socket, server: socket.socket, traps: list[Trap]) -> None:
        while data := server.recv(65536):
            if traps:
                trap = traps.pop()
                trap.caught.set()
                if not trap.freezes:
                    break
                trap.released.wait(WAIT_SECONDS)
            client.sendall(data)
        for end in (client, server):
            end.shutdown(socket.SHUT_RDWR)


def _freeze(port: int) -> int:
    """Freeze the process whose connection has this port, and return its id."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.pid:
            os.kill(connection.pid, signal.SIGSTOP)
            return connection.pid
    return 0
