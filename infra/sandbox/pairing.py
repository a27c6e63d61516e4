"""An unpaired client: the QR codes that it gets, and the exchange that makes it a linked device."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any, Self

from google.protobuf.message import DecodeError

from infra.sandbox.binary import Node
from infra.sandbox.client import Client
from infra.sandbox.errors import BadQrError, PairingRefusedError
from infra.sandbox.keys import verify
from infra.sandbox.messages import DeviceIdentity, DeviceProps, SignedDeviceIdentity, SignedDeviceIdentityHmac
from infra.sandbox.store import Account, Device

_URL = "https://wa.me/settings/linked_devices#"
_ACCOUNT_PREFIX = b"\x06\x00"
_DEVICE_PREFIX = b"\x06\x01"
_FULL_SET = 6
_FIRST_SECONDS = 60
_NEXT_SECONDS = 20
# The client starts to count a little later than the sandbox.
_GRACE_SECONDS = 2


@dataclass(frozen=True)
class Qr:
    """The contents of a pairing QR."""

    ref: str
    noise_key: bytes
    identity_key: bytes
    secret: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a QR's text.

        Raises
        ------
        BadQrError
            The text is no pairing QR.
        """
        ref, *parts = text.strip().removeprefix(_URL).split(",")
        try:
            keys = [base64.b64decode(part, validate=True) for part in parts[:3]]
        except (binascii.Error, ValueError):
            keys = []
        if not ref or len(keys) != 3 or len(parts) > 4 or any(len(key) != 32 for key in keys):
            raise BadQrError("This is not the text of a WhatsApp pairing QR.")
        return cls(ref, *keys)


class Offer:
    """An unpaired client with the refs of its QR codes.

    Parameters
    ----------
    client
        The connected client.
    data
        The `DevicePairingData` of its login payload.
    refs
        How many QR codes it gets.
    """

    def __init__(self, client: Client, data: Any, refs: int) -> None:
        self.client = client
        self.used = False
        self._data = data
        self._refs = [f"2@{base64.b64encode(secrets.token_bytes(48)).decode()}" for _ in range(refs)]
        self._shown_at = time.monotonic()

    @property
    def lifetime(self) -> float:
        """Seconds until the last QR code has expired."""
        return self._expiry(len(self._refs) - 1)

    async def show(self) -> None:
        """Give the client its QR codes."""
        refs = [Node("ref", content=ref.encode()) for ref in self._refs]
        self._shown_at = time.monotonic()
        await self.client.ask(Node("pair-device", content=refs))

    def matches(self, qr: Qr) -> bool:
        """Tell whether `qr` is one of this client's codes and has not expired."""
        if self.used or qr.ref not in self._refs:
            return False
        expired = time.monotonic() > self._shown_at + self._expiry(self._refs.index(qr.ref))
        own = qr.noise_key == self.client.noise_key and qr.identity_key == self._data.identity_key
        return own and not expired

    def _expiry(self, position: int) -> float:
        # A client that gets exactly six codes shows the first for a minute. It shows every other code for 20 seconds.
        first = _FIRST_SECONDS if len(self._refs) == _FULL_SET else _NEXT_SECONDS
        return first + position * _NEXT_SECONDS + _GRACE_SECONDS

    async def pair(self, account: Account, index: int, secret: bytes, tamper: str | None) -> Device:
        """Make the client the device of `account` with this index: send the identity, and check the client's answer.

        Raises
        ------
        PairingRefusedError
            The client answers with an error, or with a signature that is not its own.
        SocketClosedError, ClientSilentError
            The client does not answer.
        """
        signed = self._signed_identity(account, index, spoil=tamper == "signature")
        reply = await self.client.ask(_pair_success(account, index, signed, secret, tamper == "hmac"))
        self._check(reply, signed.details, account.keys.public)
        return Device(
            index=index,
            noise_key=self.client.noise_key,
            identity_key=self._data.identity_key,
            registration_id=int.from_bytes(self._data.registration_id, "big"),
            platform=_platform(self._data.device_props),
            signed_prekey_id=int.from_bytes(self._data.signed_prekey_id, "big"),
            signed_prekey=self._data.signed_prekey,
        )

    def _signed_identity(self, account: Account, index: int, spoil: bool) -> Any:
        details = DeviceIdentity(raw_id=account.raw_id, timestamp=int(time.time()), key_index=index)
        serialized = details.SerializeToString()
        signature = account.keys.sign(_ACCOUNT_PREFIX + serialized + self._data.identity_key)
        return SignedDeviceIdentity(
            details=serialized,
            account_signature_key=account.keys.public,
            account_signature=_spoiled(signature) if spoil else signature,
        )

    def _check(self, reply: Node, details: bytes, account_key: bytes) -> None:
        error = reply.find("error")
        if reply.attribute("type") == "error":
            text = error.attribute("text") if error else "no reason given"
            raise PairingRefusedError(f"The client refused the pairing: {text}.")
        identity = reply.find("pair-device-sign", "device-identity")
        signed = SignedDeviceIdentity()
        try:
            signed.ParseFromString(identity.data if identity else b"")
        except DecodeError:
            raise PairingRefusedError("The client's answer cannot be read.") from None
        key = self._data.identity_key
        if not verify(key, _DEVICE_PREFIX + details + key + account_key, signed.device_signature):
            raise PairingRefusedError("The client's signature does not verify.")


def _pair_success(account: Account, index: int, signed: Any, secret: bytes, spoil: bool) -> Node:
    details = signed.SerializeToString()
    digest = hmac.digest(secret, details, hashlib.sha256)
    identity = SignedDeviceIdentityHmac(details=details, hmac=_spoiled(digest) if spoil else digest)
    content = [
        Node("device-identity", content=identity.SerializeToString()),
        Node("device", {"jid": account.jid(index), "lid": account.lid_jid(index)}),
        Node("platform", {"name": "android"}),
    ]
    return Node("pair-success", {"t": str(int(time.time()))}, content)


def _spoiled(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def _platform(serialized: bytes) -> str:
    props = DeviceProps()
    try:
        props.ParseFromString(serialized)
    except DecodeError:
        return ""
    return str(props.os)
