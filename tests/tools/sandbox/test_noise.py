"""The Noise handshake, with a client that this file implements from the specification."""

from __future__ import annotations

import hashlib

import pytest

from infra.sandbox.certificates import noise_chain
from infra.sandbox.keys import KeyPair, verify
from infra.sandbox.messages import CertChain, CertificateDetails, HandshakeMessage
from infra.sandbox.noise import Cipher, NoiseError, Responder, expand

ROOT = KeyPair.generate()
SERVER = KeyPair.generate()
CLIENT = KeyPair.generate()


class Initiator:
    """The client's half of Noise XX."""

    def __init__(self) -> None:
        self.ephemeral = KeyPair.generate()
        self.h = self.ck = b"Noise_XX_25519_AESGCM_SHA256\0\0\0\0"
        self.cipher = Cipher(self.ck)
        self.mix_hash(b"WA\x06\x03")

    def mix_hash(self, data: bytes) -> None:
        self.h = hashlib.sha256(self.h + data).digest()

    def mix_key(self, secret: bytes) -> None:
        derived = expand(secret, self.ck)
        self.ck, self.cipher = derived[:32], Cipher(derived[32:])

    def decrypt(self, data: bytes) -> bytes:
        plain = self.cipher.decrypt(data, self.h)
        self.mix_hash(data)
        return plain

    def encrypt(self, data: bytes) -> bytes:
        secret = self.cipher.encrypt(data, self.h)
        self.mix_hash(secret)
        return secret

    def hello(self) -> bytes:
        self.mix_hash(self.ephemeral.public)
        message = HandshakeMessage()
        message.client_hello.ephemeral = self.ephemeral.public
        return bytes(message.SerializeToString())

    def finish(self, reply: bytes, payload: bytes) -> tuple[bytes, bytes]:
        hello = HandshakeMessage.FromString(reply).server_hello
        self.mix_hash(hello.ephemeral)
        self.mix_key(self.ephemeral.agree(hello.ephemeral))
        static = self.decrypt(hello.static)
        assert static == SERVER.public
        self.mix_key(self.ephemeral.agree(static))
        chain = self.decrypt(hello.payload)
        message = HandshakeMessage()
        message.client_finish.static = self.encrypt(CLIENT.public)
        self.mix_key(CLIENT.agree(hello.ephemeral))
        message.client_finish.payload = self.encrypt(payload)
        return message.SerializeToString(), chain


def test_both_sides_of_the_handshake_agree() -> None:
    client, server = Initiator(), Responder(SERVER, b"chain")
    finish, chain = client.finish(server.hello(client.hello()), b"payload")
    established = server.finish(finish)
    assert (chain, established.payload, established.client_static) == (b"chain", b"payload", CLIENT.public)
    keys = expand(b"", client.ck)
    assert established.reader.decrypt(Cipher(keys[:32]).encrypt(b"up")) == b"up"
    assert Cipher(keys[32:]).decrypt(established.writer.encrypt(b"down")) == b"down"


def test_a_changed_finish_is_refused() -> None:
    client, server = Initiator(), Responder(SERVER, b"chain")
    finish, _ = client.finish(server.hello(client.hello()), b"payload")
    with pytest.raises(NoiseError, match="decrypt"):
        server.finish(finish[:-1] + bytes([finish[-1] ^ 1]))


@pytest.mark.parametrize("frame", [b"", b"GET / HTTP/1.1", b"\xff\xff"])
def test_a_malformed_hello_is_refused(frame: bytes) -> None:
    with pytest.raises(NoiseError):
        Responder(SERVER, b"chain").hello(frame)


def test_the_certificates_lead_from_the_root_to_the_server() -> None:
    chain = CertChain.FromString(noise_chain(ROOT, SERVER.public))
    intermediate = CertificateDetails.FromString(chain.intermediate.details)
    leaf = CertificateDetails.FromString(chain.leaf.details)
    assert verify(ROOT.public, chain.intermediate.details, chain.intermediate.signature)
    assert verify(intermediate.key, chain.leaf.details, chain.leaf.signature)
    assert (intermediate.serial, intermediate.issuer_serial) == (1, 0)
    assert (leaf.serial, leaf.issuer_serial, leaf.key) == (2, 1, SERVER.public)


def test_a_signature_holds_for_one_key_and_one_message() -> None:
    signature = ROOT.sign(b"message")
    assert verify(ROOT.public, b"message", signature)
    assert not verify(ROOT.public, b"another", signature)
    assert not verify(SERVER.public, b"message", signature)
    assert not verify(ROOT.public, b"message", signature[:-1])
