"""What the sandbox remembers from one run to the next: its Noise root, the accounts, their linked devices."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from infra.sandbox.binary import LID_SERVER, Jid
from infra.sandbox.errors import TooManyDevicesError
from infra.sandbox.files import write_atomically
from infra.sandbox.keys import KeyPair

MAX_DEVICES = 4
MAX_DEVICE_INDEX = 99


def _digits(count: int) -> str:
    return str(secrets.randbelow(9 * 10 ** (count - 1)) + 10 ** (count - 1))


class _Record(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")


class Device(_Record):
    """A linked device: the keys from its pairing, and the prekeys that it has uploaded since.

    A device may ask how many prekeys are left. A message to the device needs a prekey and the signed prekey.
    """

    index: int
    noise_key: bytes
    identity_key: bytes
    registration_id: int
    platform: str
    linked_at: float = Field(default_factory=time.time)
    signed_prekey_id: int
    signed_prekey: bytes
    prekeys: dict[int, bytes] = {}


class Account(_Record):
    """A phone: its number, its hidden address (lid), its identity key, and its linked devices by index."""

    number: str
    lid: str = Field(default_factory=lambda: _digits(15))
    raw_id: int = Field(default_factory=lambda: secrets.randbits(31))
    identity: bytes
    last_index: int = 0
    devices: dict[int, Device] = {}

    @property
    def keys(self) -> KeyPair:
        """The account's identity key pair."""
        return KeyPair.from_private(self.identity)

    def jid(self, index: int) -> Jid:
        """Return the address of one of the devices."""
        return Jid(self.number, device=index)

    def lid_jid(self, index: int) -> Jid:
        """Return the hidden address of one of the devices."""
        return Jid(self.lid, LID_SERVER, index)

    def next_index(self, last: int = MAX_DEVICE_INDEX) -> int:
        """Return the index for a new device, up to `last`. An index is used again only after all have been used.

        Raises
        ------
        TooManyDevicesError
            When the phone has four linked devices, or no index is free.
        """
        if len(self.devices) >= MAX_DEVICES:
            raise TooManyDevicesError(f"This phone already has {MAX_DEVICES} linked devices.")
        indexes: list[int] = [*range(self.last_index + 1, last + 1), *range(1, last + 1)]
        for index in indexes:
            if index not in self.devices:
                return index
        raise TooManyDevicesError(f"All of this phone's {last} device indexes are taken.")


class _State(_Record):
    noise_root: bytes
    accounts: dict[str, Account] = {}


class Store:
    """The state in `directory`, for one process at a time. Call `save` after every change.

    Raises
    ------
    StoreInUseError
        Another sandbox runs on the same directory.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(directory / "lock")
        self._file = directory / "state.json"
        if self._file.exists():
            self._state = _State.model_validate_json(self._file.read_bytes())
        else:
            self._state = _State(noise_root=KeyPair.generate().private)
            self.save()

    def save(self) -> None:
        """Write everything to disk."""
        write_atomically(self._file, self._state.model_dump_json().encode())

    def close(self) -> None:
        """Let another process use the directory."""
        os.close(self._lock)

    @property
    def noise_root(self) -> KeyPair:
        """The key that signs the server's Noise certificates. The engine trusts its public half."""
        return KeyPair.from_private(self._state.noise_root)

    @property
    def accounts(self) -> dict[str, Account]:
        """All accounts by number."""
        return self._state.accounts

    def account(self, number: str) -> Account:
        """Return the account with this number. It is made if it does not exist."""
        if number not in self.accounts:
            self.accounts[number] = Account(number=number, identity=KeyPair.generate().private)
            self.save()
        return self.accounts[number]

    def device(self, number: str, index: int) -> Device | None:
        """Return a linked device, or None."""
        account = self.accounts.get(number)
        return account.devices.get(index) if account else None

    def link(self, account: Account, device: Device) -> None:
        """Add a new device to an account."""
        account.devices[device.index] = device
        account.last_index = device.index
        self.save()

    def unlink(self, number: str, index: int) -> bool:
        """Remove a device, and tell whether it was there."""
        account = self.accounts.get(number)
        if account is None or account.devices.pop(index, None) is None:
            return False
        self.save()
        return True


class StoreInUseError(RuntimeError):
    """Another sandbox runs on the same directory."""


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreInUseError(f"another sandbox is using {path.parent}") from None
    return descriptor
