"""A forward proxy of HTTP (CONNECT) and SOCKS 5 in front of the sandbox, with or without a password."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class ForwardProxy:
    """Passes each tunnel on to the sandbox's own proxy.

    Parameters
    ----------
    behind : str
        The URL of the sandbox's proxy.
    login : tuple of str, optional
        The user and the password that it asks for.

    Attributes
    ----------
    port : int
        Its port on 127.0.0.1.
    targets : list of str
        Where clients wanted to go, in order.
    refused : int
        How many clients had no right user and password.
    status : str or None
        With a status, it refuses each tunnel of HTTP.
    """

    def __init__(self, behind: str, login: tuple[str, str] | None = None) -> None:
        self.targets: list[str] = []
        self.refused = 0
        self.status: str | None = None
        self.login = login
        self._behind = urlsplit(behind)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more clients."""
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError):
            first = _exactly(client, 1)
            target = self._socks(client) if first == b"\5" else self._http(client, first)
            if target:
                self.targets.append(target)
                self._join(client, target, socks=first == b"\5")

    def _http(self, client: socket.socket, head: bytes) -> str | None:
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        lines = head.decode().split("\r\n")
        given = next((line.partition(": ")[2] for line in lines if line.lower().startswith("proxy-authorization")), "")
        if self.login and given != "Basic " + base64.b64encode(":".join(self.login).encode()).decode():
            self.refused += 1
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
            return None
        if self.status:
            client.sendall(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
            return None
        return lines[0].split()[1]

    def _socks(self, client: socket.socket) -> str | None:
        methods = _exactly(client, _exactly(client, 1)[0])
        method = 2 if self.login else 0
        if method not in methods:
            self.refused += 1
            client.sendall(b"\5\xff")
            return None
        client.sendall(bytes([5, method]))
        if self.login:
            _exactly(client, 1)
            given = tuple(_exactly(client, _exactly(client, 1)[0]).decode() for _ in range(2))
            client.sendall(b"\1\0" if given == self.login else b"\1\1")
            if given != self.login:
                self.refused += 1
                return None
        kind = _exactly(client, 4)[3]
        assert kind == 3, "the engine lets the proxy look up the name"
        host = _exactly(client, _exactly(client, 1)[0]).decode()
        return f"{host}:{int.from_bytes(_exactly(client, 2), 'big')}"

    def _join(self, client: socket.socket, target: str, socks: bool) -> None:
        with socket.create_connection((self._behind.hostname, self._behind.port)) as server:
            server.sendall(f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += _exactly(server, 1)
            client.sendall(b"\5\0\0\1\0\0\0\0\0\0" if socks else answer)
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


@contextlib.contextmanager
def forwarding(behind: str, login: tuple[str, str] | None = None) -> Iterator[ForwardProxy]:
    """A proxy in front of the sandbox. It ends with the block."""
    proxy = ForwardProxy(behind, login)
    try:
        yield proxy
    finally:
        proxy.close()


def _exactly(source: socket.socket, number: int) -> bytes:
    data = b""
    while len(data) < number:
        more = source.recv(number - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
