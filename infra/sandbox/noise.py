"""Noise_XX_25519_AESGCM_SHA256 as WhatsApp uses it: the server's side of the handshake, and the ciphers after it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import DecodeError

from infra.sandbox.keys import KeyPair
from infra.sandbox.messages import HandshakeMessage

PROLOGUE = b"WA\x06\x03"
_PROTOCOL = b"Noise_XX_25519_AESGCM_SHA256".ljust(32, b"\0")


class NoiseError(Exception):
    """The client's handshake or one of its frames breaks the protocol."""


class Cipher:
    """AES-GCM with a counter as its nonce."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._counter = 0

    def _nonce(self) -> bytes:
        nonce = bytes(8) + self._counter.to_bytes(4, "big")
        self._counter += 1
        return nonce

    def encrypt(self, plaintext: bytes, associated: bytes = b"") -> bytes:
        """Encrypt one frame."""
        return self._aead.encrypt(self._nonce(), plaintext, associated)

    def decrypt(self, ciphertext: bytes, associated: bytes = b"") -> bytes:
        """Decrypt one frame.

        Raises
        ------
        NoiseError
            The frame was not made with this key and counter.
        """
        try:
            return self._aead.decrypt(self._nonce(), ciphertext, associated)
        except InvalidTag:
            raise NoiseError("a frame does not decrypt") from None


def expand(secret: bytes, salt: bytes, info: bytes = b"", length: int = 64) -> bytes:
    """Derive keys from a secret with HKDF-SHA256."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)


class _SymmetricState:
    """Noise's running hash, chaining key and cipher."""

    def __init__(self) -> None:
        self._hash = self._chaining_key = _PROTOCOL
        self._cipher = Cipher(_PROTOCOL)
        self.mix_hash(PROLOGUE)

    def mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def mix_key(self, secret: bytes) -> None:
        derived = expand(secret, self._chaining_key)
        self._chaining_key, self._cipher = derived[:32], Cipher(derived[32:])

    def encrypt(self, plaintext: bytes) -> bytes:
        ciphertext = self._cipher.encrypt(plaintext, self._hash)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt(self, ciphertext: bytes) -> bytes:
        plaintext = self._cipher.decrypt(ciphertext, self._hash)
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[Cipher, Cipher]:
        derived = expand(b"", self._chaining_key)
        return Cipher(derived[:32]), Cipher(derived[32:])


@dataclass(frozen=True)
class Established:
    """The result of a handshake: the client's key and payload, and one cipher for each direction."""

    client_static: bytes
    payload: bytes
    reader: Cipher
    writer: Cipher


class Responder:
    """The server's half of one handshake: `hello`, then `finish`.

    Parameters
    ----------
    static
        The server's static key pair, which the certificate chain signs.
    certificate_chain
        The serialized chain. The server's hello carries it encrypted.
    """

    def __init__(self, static: KeyPair, certificate_chain: bytes) -> None:
        self._static = static
        self._chain = certificate_chain
        self._ephemeral = KeyPair.generate()
        self._state = _SymmetricState()

    def hello(self, frame: bytes) -> bytes:
        """Answer the client's hello with the server's.

        Raises
        ------
        NoiseError
            `frame` is no client hello.
        """
        client_ephemeral = _read(frame).client_hello.ephemeral
        _check_key(client_ephemeral)
        state = self._state
        state.mix_hash(client_ephemeral)
        state.mix_hash(self._ephemeral.public)
        state.mix_key(self._ephemeral.agree(client_ephemeral))
        static = state.encrypt(self._static.public)
        state.mix_key(self._static.agree(client_ephemeral))
        reply = HandshakeMessage()
        reply.server_hello.ephemeral = self._ephemeral.public
        reply.server_hello.static = static
        reply.server_hello.payload = state.encrypt(self._chain)
        return bytes(reply.SerializeToString())

    def finish(self, frame: bytes) -> Established:
        """Take the client's last message and derive the transport ciphers.

        Raises
        ------
        NoiseError
            `frame` is no client finish, or it was made with other keys.
        """
        message = _read(frame).client_finish
        client_static = self._state.decrypt(message.static)
        _check_key(client_static)
        self._state.mix_key(self._ephemeral.agree(client_static))
        payload = self._state.decrypt(message.payload)
        reader, writer = self._state.split()
        return Established(client_static, payload, reader, writer)


def _read(frame: bytes) -> HandshakeMessage:
    message = HandshakeMessage()
    try:
        message.ParseFromString(frame)
    except DecodeError:
        raise NoiseError("a handshake frame is no HandshakeMessage") from None
    return message


def _check_key(key: bytes) -> None:
    if len(key) != 32:
        raise NoiseError("a handshake key is not 32 bytes long")
