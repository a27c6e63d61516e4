"""A device's adv secret, and the QR codes that carry it."""

from __future__ import annotations

import base64
import hashlib
from uuid import uuid4


class Secret:
    """An adv secret, as the engine makes one for each fresh device."""

    def __init__(self, name: str = "") -> None:
        self.bytes = hashlib.sha256((name or str(uuid4())).encode()).digest()

    @property
    def fingerprint(self) -> bytes:
        """The hash of the secret. The binding has it, so it ties the device to its user."""
        return hashlib.sha256(self.bytes).digest()

    def text(self, number: int = 1) -> str:
        """The ``number``-th QR text of this device."""
        adv = base64.b64encode(self.bytes).decode()
        return f"https://wa.me/settings/linked_devices#2@ref{number},noise,identity,{adv},1"
