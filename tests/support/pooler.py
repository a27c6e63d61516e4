"""A pooler that fails on demand in the ways of Supavisor. (pgbouncer.py starts the real PgBouncer.)"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_LOGIN = struct.pack("!HH", 3, 0)  # the protocol's version begins a login


class Pooler:
    """Passes every byte on to a real Postgres, until a test sets one of its attributes.

    Attributes
    ----------
    port : int
        Its port on 127.0.0.1.
    hang_ups : list of str
        The SQLSTATEs with which it ends the next connections that send a statement.
    refusals : list of tuple of str
        The SQLSTATEs and messages with which it refuses the next logins.
    clients : int
        The number of connections so far.
    silent : bool
        If true, clients can log in, but get no answer, as from a pooler without a free connection.
    drops : set of str
        The parameters of a login that it does not pass on.
    """

    def __init__(self, port: int) -> None:
        self.hang_ups: list[str] = []
        self.refusals: list[tuple[str, str]] = []
        self.clients = 0
        self.silent = False
        self.drops: set[str] = set()
        self._behind = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections. Open connections end with their clients."""
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self.clients += 1
                if self.refusals:
                    _refuse(client, *self.refusals.pop(0))
                    continue
                server = socket.create_connection(("127.0.0.1", self._behind))
                logged_in = threading.Event()
                for work in (self._ask, self._answer):
                    threading.Thread(target=work, args=(client, server, logged_in), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket, logged_in: threading.Event) -> None:
        with client, server, contextlib.suppress(OSError):
            while data := client.recv(65536):
                if logged_in.is_set() and self.hang_ups:
                    client.sendall(_fatal(self.hang_ups.pop(0)))
                    client.shutdown(socket.SHUT_RDWR)
                    return
                if not (logged_in.is_set() and self.silent):
                    server.sendall(data if logged_in.is_set() else _without(data, self.drops))
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: socket.socket, server: socket.socket, logged_in: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if data.endswith(b"Z\0\0\0\5I"):  # ready for the first query
                    logged_in.set()
                client.sendall(data)


@contextlib.contextmanager
def pooling(port: int) -> Iterator[Pooler]:
    """A pooler in front of the Postgres on ``port``. It ends with the block."""
    pooler = Pooler(port)
    try:
        yield pooler
    finally:
        pooler.close()


def _refuse(client: socket.socket, sqlstate: str, words: str) -> None:
    with client:
        client.recv(65536)
        client.sendall(b"N")  # no TLS here
        client.recv(65536)
        client.sendall(_fatal(sqlstate, words))


def _without(packet: bytes, drops: set[str]) -> bytes:
    """A client's packet as it is, or a login without these parameters."""
    if packet[4:8] != _LOGIN or not drops:
        return packet
    words = packet[8:].rstrip(b"\0").split(b"\0")
    pairs = zip(words[::2], words[1::2], strict=True)
    kept = b"".join(b"%b\0%b\0" % pair for pair in pairs if pair[0].decode() not in drops)
    return struct.pack("!I", len(kept) + 9) + _LOGIN + kept + b"\0"


def _fatal(sqlstate: str, words: str = "db is gone") -> bytes:
    said = {"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": words}
    fields = b"".join(f"{kind}{text}".encode() + b"\0" for kind, text in said.items())
    return b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0"
