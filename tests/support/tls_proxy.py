"""A TLS proxy in front of a Postgres without TLS, and servers that answer the request for TLS wrongly.

Both drivers behave with it as with a Postgres that has TLS itself.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SSL_REQUEST = struct.pack("!II", 8, 80877103)
Answer = Callable[[socket.socket], None]


@contextmanager
def listening(answer: Answer) -> Iterator[int]:
    """Answer each connection in a thread of its own, until the block ends. The value is the port."""
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def serve_one(client: socket.socket, connection: socket.socket) -> None:
        # A client that refuses the certificate cuts the connection.
        with client, suppress(OSError):
            answer(client)
        _end(connection)

    def serve(server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            connections.append(client.dup())  # a TLS socket takes the first one over
            threads.append(threading.Thread(target=serve_one, args=(client, connections[-1])))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=serve, args=(server,))
        accepting.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for connection in connections:
                _end(connection)
            for thread in threads:
                thread.join()
            for connection in connections:
                connection.close()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def in_front_of(port: int, tls: ssl.SSLContext) -> Answer:
    """Take TLS off, and copy bytes from and to the server at this port. A client may go without TLS."""

    def answer(client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port)) as back:
            if client.recv(8, socket.MSG_PEEK) != SSL_REQUEST:
                _copy(client, back)
                return
            client.recv(8)
            client.sendall(b"S")
            with tls.wrap_socket(client, server_side=True) as front:
                _copy(front, back)

    return answer


def _copy(front: socket.socket, back: socket.socket) -> None:
    others = {front: back, back: front}
    while True:
        unread = isinstance(front, ssl.SSLSocket) and front.pending()
        ready = [front] if unread else select.select(list(others), [], [])[0]
        for one in ready:
            data = one.recv(65536)
            if not data:
                return
            others[one].sendall(data)


def hangs(client: socket.socket) -> None:
    """Agree to TLS, and never answer the handshake."""
    client.recv(8)
    client.sendall(b"S")
    while client.recv(65536):
        pass


def is_a_website(client: socket.socket) -> None:
    """Answer as an HTTP server does that cannot read the request."""
    client.recv(8)
    client.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def is_too_old(client: socket.socket) -> None:
    """Agree to TLS, and answer as a server that knows no version of the client's: the alert protocol_version."""
    client.recv(8)
    client.sendall(b"S")
    client.recv(65536)
    client.sendall(bytes.fromhex("15 0301 0002 02 46"))


def is_ssh(client: socket.socket) -> None:
    """Greet first, with the letter that agrees to TLS."""
    client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    client.recv(65536)


def hangs_up(client: socket.socket) -> None:
    """End the connection when TLS is asked for."""
    client.recv(8)


def has_no_room(client: socket.socket) -> None:
    """Answer the request for TLS with an error, as a Postgres does that cannot start a process."""
    client.recv(8)
    client.sendall(b"Ecould not fork new process for connection: Cannot allocate memory\n\0")
