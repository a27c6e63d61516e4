"""A slow network between a function and Postgres: it counts and delays the exchanges with the server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from urllib.parse import urlsplit, urlunsplit

# The messages after which a client waits: a simple query, the end of an extended query, a flush, a function call.
_ASKS = (b"Q", b"S", b"H", b"F")
_READY = b"Z"


class Network:
    """A TCP proxy in front of the Postgres on ``port``.

    An exchange is a round trip. It begins when a client that waits for no answer sends a query. It ends when the server
    is ready for the next query. So a pipeline of several queries is one exchange, and the number of TCP segments does
    not matter. A login is counted as a login, and not as an exchange.

    Attributes
    ----------
    delay_seconds : float
        The delay of each byte in each direction. It does not limit the throughput.
    exchanges, logins : int
        The numbers since the start.
    port : int
        Its port on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.delay_seconds = 0.0
        self.exchanges = self.logins = 0
        self._behind = port
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def url(self, url: str, role: str) -> str:
        """Return the URL of this role through the proxy. It is without TLS, because TLS would hide the messages."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=f"{role}@127.0.0.1:{self.port}", query="sslmode=disable"))

    def close(self) -> None:
        """Accept no more connections. Open connections end with their clients."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # close() alone does not wake the thread that accepts
        self._accepting.join()
        self._listening.close()

    def count(self, exchanges: int = 0, logins: int = 0) -> None:
        """Add the exchanges and logins of one connection."""
        with self._lock:
            self.exchanges += exchanges
            self.logins += logins

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._behind)) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            talk = _Talk(self)
            back = threading.Thread(target=self._carry, args=(server, client, talk.answered), daemon=True)
            back.start()
            self._carry(client, server, talk.asked)
            back.join()

    def _carry(self, source: socket.socket, target: socket.socket, listen: Callable[[bytes], None]) -> None:
        """Carry one direction until its source has ended. Another thread delivers, so that reading never waits."""
        on_the_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        delivering = threading.Thread(target=_deliver, args=(on_the_way, target), daemon=True)
        delivering.start()
        with suppress(OSError):
            while data := source.recv(65536):
                listen(data)
                on_the_way.put((time.monotonic() + self.delay_seconds, data))
        on_the_way.put((time.monotonic() + self.delay_seconds, b""))
        delivering.join()


class _Talk:
    """The state of one connection, from the messages in both directions."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._from_client = _Messages(typed=False)  # a client's first message has no type
        self._from_server = _Messages(typed=True)
        self._due = 0
        self._lock = threading.Lock()

    def asked(self, data: bytes) -> None:
        for kind in self._from_client.read(data):
            if kind in _ASKS:
                with self._lock:
                    self._network.count(exchanges=not self._due)
                    self._due += kind != b"H"  # the server answers a flush without being ready for the next query

    def answered(self, data: bytes) -> None:
        for kind in self._from_server.read(data):
            if kind == _READY:
                with self._lock:
                    self._network.count(logins=not self._due)
                    self._due -= self._due > 0


class _Messages:
    """Splits one direction of a connection into the messages of Postgres's protocol."""

    def __init__(self, typed: bool) -> None:
        self._unread = bytearray()
        self._type_size = int(typed)

    def read(self, data: bytes) -> Iterator[bytes]:
        """Return the types of the messages that are complete now."""
        self._unread += data
        while len(self._unread) >= self._type_size + 4:
            size = self._type_size + int.from_bytes(self._unread[self._type_size : self._type_size + 4], "big")
            if len(self._unread) < size:
                return
            yield bytes(self._unread[: self._type_size])
            del self._unread[:size]
            self._type_size = 1


def _deliver(on_the_way: SimpleQueue[tuple[float, bytes]], target: socket.socket) -> None:
    with suppress(OSError):
        while True:
            due, data = on_the_way.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)


@contextmanager
def network(port: int) -> Iterator[Network]:
    """A network in front of the Postgres on ``port``. It ends with the block."""
    between = Network(port)
    try:
        yield between
    finally:
        between.close()
