"""The binary XML codec."""

from __future__ import annotations

import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.sandbox.binary import SERVER, BinaryError, Jid, Node, decode, encode

texts = st.text(min_size=1, max_size=300)
jids = st.builds(Jid, texts, st.sampled_from(["s.whatsapp.net", "lid"]), st.none() | st.integers(0, 255))
attributes = st.dictionaries(texts, texts | jids, max_size=4)
leaves = st.builds(Node, texts, attributes, st.none() | st.binary(max_size=300))
nodes = st.recursive(
    leaves,
    lambda inner: st.builds(Node, texts, attributes, st.lists(inner, min_size=1, max_size=4)),
    max_leaves=8,
)


@given(nodes)
def test_a_node_survives_encoding_and_decoding(node: Node) -> None:
    assert decode(encode(node)) == node


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_the_codec_s_error(frame: bytes) -> None:
    with suppress(BinaryError):
        decode(frame)


def test_the_server_is_a_jid_without_a_user() -> None:
    node = Node("iq", {"from": SERVER})
    assert encode(node) == b"\0\xf8\x03\xfc\x02iq\xfc\x04from\xfa\0\xfc\x0es.whatsapp.net"
    assert decode(encode(node)).attribute("from") == "s.whatsapp.net"


@pytest.mark.parametrize("size", [255, 256, 70_000, (1 << 20) - 1, 1 << 20])
def test_content_of_every_length_survives(size: int) -> None:
    assert decode(encode(Node("a", content=bytes(size)))).data == bytes(size)


def test_a_node_with_many_children_survives() -> None:
    node = Node("list", content=[Node("key")] * 812)
    assert len(decode(encode(node)).children) == 812


def test_tokens_and_packed_values_are_decoded() -> None:
    # <iq type="get" xmlns="encrypt" id="25.23-1" token="3AF"><count/></iq> as a client writes it
    frame = bytes(
        [0, 248, 10, 25, 4, 41, 22, 203, 8, 255, 0x84, 0x25, 0xB2, 0x3A, 0x1F, 236, 3, 251, 0x82, 0x3A, 0xFF]
    ) + bytes([248, 1, 248, 1, 65])
    node = decode(frame)
    assert node.tag == "iq"
    assert node.attributes == {"type": "get", "xmlns": "encrypt", "id": "25.23-1", "protocol": "3AF"}
    assert [child.tag for child in node.children] == ["count"]


def test_an_unknown_token_shows_as_its_number() -> None:
    assert decode(bytes([0, 248, 3, 25, 234, 237, 7])).attributes == {"token-234": "token-237-7"}
    assert decode(bytes([0, 248, 3, 25, 234, 235])).attributes == {"token-234": "token-235"}


def test_a_compressed_frame_is_decoded() -> None:
    node = Node("iq", {"id": "1"})
    assert decode(b"\2" + zlib.compress(encode(node)[1:])) == node


def test_a_frame_that_unpacks_to_megabytes_is_refused() -> None:
    with pytest.raises(BinaryError, match="too long"):
        decode(b"\2" + zlib.compress(bytes(1 << 24)))


def test_too_deeply_nested_nodes_are_refused() -> None:
    with pytest.raises(BinaryError, match="nested"):
        decode(b"\0" + bytes([248, 2, 25, 248, 1]) * 5000)
