"""What stands between a function and Postgres in production, and has troubles of its own."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator


class Pooler:
    """Passes every byte on to a real Postgres, until it is told to misbehave.

    Attributes
    ----------
    port : int
        Where it listens, on 127.0.0.1.
    hang_ups : list of str
        The SQLSTATEs with which it ends the next connections that ask something.
    silent : bool
        Lets clients log in and then answers nothing, as one that has no connection to give.
    """

    def __init__(self, port: int) -> None:
        self.hang_ups: list[str] = []
        self.silent = False
        self._behind = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more; the connections end with their clients."""
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
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
                    server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: socket.socket, server: socket.socket, logged_in: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if data.endswith(b"Z\0\0\0\5I"):  # ready for the first query
                    logged_in.set()
                client.sendall(data)


@contextlib.contextmanager
def pooling(port: int) -> Iterator[Pooler]:
    """A pooler before the Postgres on ``port``, for as long as the block lasts."""
    pooler = Pooler(port)
    try:
        yield pooler
    finally:
        pooler.close()


def _fatal(sqlstate: str) -> bytes:
    fields = b"".join(field + b"\0" for field in (b"SFATAL", b"VFATAL", b"C" + sqlstate.encode(), b"Mdb is gone"))
    return b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0"
