"""Curve25519 key pairs: agreement by X25519, signatures by XEdDSA with the same key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Self

import xeddsa

KEY_SIZE = 32
SIGNATURE_SIZE = 64


@dataclass(frozen=True)
class KeyPair:
    """A Curve25519 private key with its public half."""

    private: bytes = field(repr=False)
    public: bytes

    @classmethod
    def generate(cls) -> Self:
        """Make a new pair, with the bits of the private key that X25519 requires."""
        raw = bytearray(secrets.token_bytes(KEY_SIZE))
        raw[0] &= 248
        raw[31] = (raw[31] & 127) | 64
        return cls.from_private(bytes(raw))

    @classmethod
    def from_private(cls, private: bytes) -> Self:
        """Restore a pair from its private half."""
        return cls(private, xeddsa.priv_to_curve25519_pub(private))

    def agree(self, public: bytes) -> bytes:
        """Return the X25519 secret shared with the owner of `public`."""
        return xeddsa.x25519(self.private, public)

    def sign(self, message: bytes) -> bytes:
        """Return the XEdDSA signature of `message`."""
        # XEdDSA signs with the private key whose Edwards point has the sign bit 0. `agree` uses the original key.
        signing_key = xeddsa.priv_force_sign(self.private, False)
        return xeddsa.ed25519_priv_sign(signing_key, message)


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is `public`'s XEdDSA signature of `message`."""
    if len(public) != KEY_SIZE or len(signature) != SIGNATURE_SIZE:
        return False
    # libsignal puts the sign bit of the Edwards point into the top bit of the signature, which is unused otherwise.
    sign_bit = bool(signature[63] & 0x80)
    bare = signature[:63] + bytes([signature[63] & 0x7F])
    return xeddsa.ed25519_verify(bare, xeddsa.curve25519_pub_to_ed25519_pub(public, sign_bit), message)
