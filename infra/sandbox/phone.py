"""The phones of the users: they scan QR codes, and list and unlink devices."""

from __future__ import annotations

import asyncio
import base64
import datetime
import json
import re
import secrets
import time
from collections import defaultdict
from typing import Any, NoReturn

from infra.sandbox.binary import SERVER, Node, Value
from infra.sandbox.channel import ChannelClosedError
from infra.sandbox.errors import (
    BadNumberError,
    PasskeyRequiredError,
    ScanAgainError,
    SocketClosedError,
    UnknownNumberError,
    UnknownQrError,
)
from infra.sandbox.pairing import Offer, Qr
from infra.sandbox.server import WhatsAppServer


class Phone:
    """All phones. Each is named by its number.

    Parameters
    ----------
    server
        The WhatsApp that the phones belong to.
    """

    def __init__(self, server: WhatsAppServer) -> None:
        self._server = server
        self._store = server.store
        self._knobs = server.knobs
        # A phone scans one QR at a time, so two scans never take the same device index.
        self._hands: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def scan(self, qr: str, number: str) -> dict[str, Any]:
        """Scan a QR, and return when the client has accepted the pairing.

        Raises
        ------
        SandboxError
            The scan fails. `errors` lists the reasons.
        """
        number, wanted = normalized(number), Qr.parse(qr)
        async with self._hands[number]:
            offer = self._server.offer(wanted)
            if offer is None:
                raise UnknownQrError("No client is showing this QR: it has expired, was used, or never was.")
            account = self._store.account(number)
            # A phone with too many devices refuses before it sends anything to WhatsApp.
            index = account.next_index(self._knobs.current.device_indexes)
            if self._knobs.fail("renew_secret"):
                await _renew_secret(offer)
            offer.used = True
            if self._knobs.fail("passkey"):
                await _ask_for_passkey(offer)
            device = await offer.pair(account, index, wanted.secret, self._knobs.fail("tamper"))
            self._store.link(account, device)
        await self._send_to_login(offer)
        return {"jid": str(account.jid(device.index)), "number": number}

    async def _send_to_login(self, offer: Offer) -> None:
        if self._knobs.fail("drop_after_scan"):
            offer.client.channel.cut()
        else:
            await offer.client.stream_error(code="515")

    def devices(self, number: str) -> list[dict[str, Any]]:
        """List the linked devices of a phone. The list is empty for a number that nobody has used."""
        account = self._store.accounts.get(normalized(number))
        if account is None:
            return []
        return [
            {
                "jid": str(account.jid(index)),
                "platform": device.platform,
                "linkedAt": timestamp(device.linked_at),
                "online": self._server.login(account.number, index) is not None,
            }
            for index, device in account.devices.items()
        ]

    async def unlink(self, number: str) -> int:
        """Unlink all devices of a phone, and return how many there were.

        Raises
        ------
        UnknownNumberError
            No phone has this number.
        """
        account = self._store.accounts.get(normalized(number))
        if account is None:
            raise UnknownNumberError("No phone has this number.")
        indexes = list(account.devices)
        for index in indexes:
            self._store.unlink(account.number, index)
            if client := self._server.login(account.number, index):
                await client.stream_error(code="401", conflict="device_removed")
        return len(indexes)


def normalized(number: str) -> str:
    """Return a phone number as WhatsApp writes it: digits only.

    Raises
    ------
    BadNumberError
        The text is no phone number.
    """
    digits = number.strip().removeprefix("+")
    if not re.fullmatch(r"[1-9][0-9]{6,14}", digits):
        raise BadNumberError("A number is 7 to 15 digits with the country's code, with or without a plus sign.")
    return digits


def timestamp(seconds: float) -> str:
    """Return a point in time as ISO 8601 in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()


async def _ask_for_passkey(offer: Offer) -> NoReturn:
    options = {
        "challenge": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("="),
        "timeout": 60_000,
        "rpId": "whatsapp.com",
        "allowCredentials": [],
        "userVerification": "required",
    }
    await _notify(
        offer, "passkey_prologue_request", Node("passkey_request_options", content=json.dumps(options).encode())
    )
    raise PasskeyRequiredError("The client was asked for a passkey.")


async def _renew_secret(offer: Offer) -> NoReturn:
    await _notify(offer, "companion_reg_refresh", Node("pair-device-rotate-qr"))
    raise ScanAgainError("The client was told to renew its QR: scan again.")


async def _notify(offer: Offer, kind: str, content: Node) -> None:
    attributes: dict[str, Value] = {
        "from": SERVER,
        "type": kind,
        "id": secrets.token_hex(8),
        "t": str(int(time.time())),
    }
    try:
        await offer.client.channel.send(Node("notification", attributes, [content]))
    except ChannelClosedError:
        raise SocketClosedError("The client closed its connection.") from None
