"""WhatsApp's binary XML: nodes with attributes and either children or bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from infra.sandbox import tokens

PHONE_SERVER = "s.whatsapp.net"
LID_SERVER = "lid"

_LIST_EMPTY, _LIST_8, _LIST_16 = 0, 248, 249
_DEVICE_JID, _JID_PAIR = 247, 250
_HEX, _NIBBLE = 251, 255
_BYTES_8, _BYTES_20, _BYTES_32 = 252, 253, 254
_PACKED_ALPHABETS = {_HEX: "0123456789ABCDEF", _NIBBLE: "0123456789-.??\0\0"}
_DEVICE_SERVERS = {0: PHONE_SERVER, 1: LID_SERVER}
_MAX_INFLATED = 1 << 22
_MAX_DEPTH = 32


class BinaryError(Exception):
    """The bytes are not a node."""


@dataclass(frozen=True)
class Jid:
    """An address: a server, a user there (may be empty), and the number of a device of the user."""

    user: str
    server: str = PHONE_SERVER
    device: int | None = None

    def __str__(self) -> str:
        device = "" if self.device is None else f":{self.device}"
        return f"{self.user}{device}@{self.server}" if self.user else self.server


SERVER = Jid("", PHONE_SERVER)

Value = str | Jid


@dataclass(frozen=True)
class Node:
    """One element: a tag, attributes, and content. The content is children, bytes or nothing."""

    tag: str
    attributes: Mapping[str, Value] = field(default_factory=dict)
    content: Sequence[Node] | bytes | None = None

    @property
    def children(self) -> Sequence[Node]:
        """The child nodes. There are none if the content is bytes."""
        return () if self.content is None or isinstance(self.content, bytes) else self.content

    @property
    def data(self) -> bytes:
        """The bytes of the content. They are empty if the content is children."""
        return self.content if isinstance(self.content, bytes) else b""

    def attribute(self, name: str) -> str:
        """Return an attribute as text, or an empty text if it is missing."""
        return str(self.attributes.get(name, ""))

    def find(self, *path: str) -> Node | None:
        """Return the first descendant along `path`, which has a tag for each level."""
        node: Node | None = self
        for tag in path:
            node = next((child for child in node.children if child.tag == tag), None) if node else None
        return node


def encode(node: Node) -> bytes:
    """Return the frame (flag byte and node) that carries `node`."""
    out = bytearray([0])
    _write_node(out, node)
    return bytes(out)


def _write_node(out: bytearray, node: Node) -> None:
    _write_list_size(out, 1 + 2 * len(node.attributes) + (node.content is not None))
    _write_bytes(out, node.tag.encode())
    for name, value in node.attributes.items():
        _write_bytes(out, name.encode())
        _write_value(out, value)
    if isinstance(node.content, bytes):
        _write_bytes(out, node.content)
    elif node.content is not None:
        _write_list_size(out, len(node.content))
        for child in node.content:
            _write_node(out, child)


def _write_list_size(out: bytearray, size: int) -> None:
    if size < 256:
        out += bytes([_LIST_8, size])
    else:
        out += bytes([_LIST_16]) + size.to_bytes(2, "big")


def _write_bytes(out: bytearray, data: bytes) -> None:
    if len(data) < 1 << 8:
        out += bytes([_BYTES_8, len(data)])
    elif len(data) < 1 << 20:
        out += bytes([_BYTES_20]) + len(data).to_bytes(3, "big")
    else:
        out += bytes([_BYTES_32]) + len(data).to_bytes(4, "big")
    out += data


def _write_value(out: bytearray, value: Value) -> None:
    if isinstance(value, str):
        _write_bytes(out, value.encode())
    elif value.device is None:
        out.append(_JID_PAIR)
        if value.user:
            _write_bytes(out, value.user.encode())
        else:
            out.append(_LIST_EMPTY)
        _write_bytes(out, value.server.encode())
    else:
        out += bytes([_DEVICE_JID, int(value.server == LID_SERVER), value.device])
        _write_bytes(out, value.user.encode())


def decode(frame: bytes) -> Node:
    """Return the node in a frame.

    Raises
    ------
    BinaryError
        The frame does not hold exactly one node.
    """
    if not frame:
        raise BinaryError("empty frame")
    body = _inflate(frame[1:]) if frame[0] & 2 else frame[1:]
    reader = _Reader(body)
    node = reader.node()
    if not reader.at_end:
        raise BinaryError("bytes after the node")
    return node


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(data, _MAX_INFLATED)
    except zlib.error as error:
        raise BinaryError("a compressed frame does not inflate") from error
    if not inflater.eof:
        raise BinaryError("a compressed frame is too long or cut off")
    return inflated


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0
        self._depth = 0

    @property
    def at_end(self) -> bool:
        return self._position == len(self._data)

    def _take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise BinaryError("the frame is cut off")
        taken, self._position = self._data[self._position : end], end
        return taken

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "big")

    def node(self) -> Node:
        size = self._list_size(self._number(1))
        if size == 0:
            raise BinaryError("a node without a tag")
        tag = self._text()
        attributes: dict[str, Value] = {}
        for _ in range((size - 1) // 2):
            name = self._text()
            attributes[name] = self._value()
        return Node(tag, attributes, None if size % 2 else self._content())

    def _content(self) -> list[Node] | bytes | None:
        marker = self._number(1)
        if marker in (_LIST_8, _LIST_16, _LIST_EMPTY):
            return list(self._children(self._list_size(marker)))
        return self._bytes(marker)

    def _children(self, count: int) -> Iterator[Node]:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BinaryError("nodes are nested too deeply")
        for _ in range(count):
            yield self.node()
        self._depth -= 1

    def _list_size(self, marker: int) -> int:
        if marker == _LIST_EMPTY:
            return 0
        if marker in (_LIST_8, _LIST_16):
            return self._number(1 if marker == _LIST_8 else 2)
        raise BinaryError(f"{marker} does not begin a list")

    def _text(self) -> str:
        return str(self._value())

    def _value(self) -> Value:
        marker = self._number(1)
        if marker == _JID_PAIR:
            return Jid(self._text(), self._text())
        if marker == _DEVICE_JID:
            agent, device = self._take(2)
            return Jid(self._text(), _DEVICE_SERVERS.get(agent, f"agent-{agent}"), device)
        return self._bytes(marker).decode("utf-8", "replace")

    def _bytes(self, marker: int) -> bytes:
        if marker == _LIST_EMPTY:
            return b""
        if marker in (_BYTES_8, _BYTES_20, _BYTES_32):
            size = self._number({_BYTES_8: 1, _BYTES_20: 3, _BYTES_32: 4}[marker])
            return self._take(size)
        if marker in _PACKED_ALPHABETS:
            return self._packed(_PACKED_ALPHABETS[marker])
        if marker in range(236, 240):
            return tokens.double(marker, self._number(1)).encode()
        if marker in range(1, 236):
            return tokens.single(marker).encode()
        raise BinaryError(f"{marker} does not begin a value")

    def _packed(self, alphabet: str) -> bytes:
        count = self._number(1)
        pairs = self._take(count & 0x7F)
        text = "".join(alphabet[pair >> 4] + alphabet[pair & 15] for pair in pairs)
        return (text[:-1] if count & 0x80 else text).encode()
