"""WhatsApp's side of every connection: the handshake, then QR codes for a new client, or a paired device's login."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Any

from google.protobuf.message import DecodeError
from websockets.asyncio.server import ServerConnection

from infra.sandbox.binary import BinaryError, Node
from infra.sandbox.certificates import noise_chain
from infra.sandbox.channel import Channel, ChannelClosedError
from infra.sandbox.client import Client
from infra.sandbox.keys import KeyPair
from infra.sandbox.knobs import KnobBoard
from infra.sandbox.login import DeviceLogin
from infra.sandbox.messages import ClientPayload
from infra.sandbox.noise import NoiseError
from infra.sandbox.pairing import Offer, Qr
from infra.sandbox.store import Store

_HANDSHAKE_SECONDS = 20
_UNLINKED = 401
# After these answers (unlinked, main device gone, account banned) a client deletes its keys. So the phone must not list
# the device any more.
_GONE_FOR_GOOD = (_UNLINKED, 403, 406)

log = logging.getLogger(__name__)


class WhatsAppServer:
    """All connections with their clients.

    Parameters
    ----------
    store
        The accounts and their devices.
    knobs
        The settings that make the sandbox misbehave.
    """

    def __init__(self, store: Store, knobs: KnobBoard) -> None:
        self.store = store
        self.knobs = knobs
        self.clients: dict[int, Client] = {}
        self._offers: dict[int, Offer] = {}
        self._logins: dict[tuple[str, int], Client] = {}
        self._numbers = itertools.count(1)
        self._static = KeyPair.generate()
        self._chain = noise_chain(store.noise_root, self._static.public)

    def offer(self, qr: Qr) -> Offer | None:
        """Return the unpaired client that is showing this QR, or None."""
        return next((offer for offer in self._offers.values() if offer.matches(qr)), None)

    def login(self, number: str, index: int) -> Client | None:
        """Return the connected client of a device, or None if the device is not logged in."""
        return self._logins.get((number, index))

    async def serve(self, websocket: ServerConnection) -> None:
        """Talk to one client until its connection ends."""
        client = Client(next(self._numbers), Channel(websocket))
        self.clients[client.number] = client
        try:
            await self._converse(client)
        except (ChannelClosedError, TimeoutError):
            pass
        except (NoiseError, BinaryError, DecodeError) as error:
            log.warning("connection %d does not speak the protocol: %s", client.number, error)
        finally:
            self._forget(client)

    def _forget(self, client: Client) -> None:
        client.end()
        del self.clients[client.number]
        self._offers.pop(client.number, None)
        self._logins = {key: other for key, other in self._logins.items() if other is not client}

    async def _converse(self, client: Client) -> None:
        if self.knobs.fail("silent", "upgrade"):
            await client.channel.wait_closed()
            return
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            established = await client.channel.handshake(self._static, self._chain)
        if self.knobs.fail("silent", "handshake"):
            await client.channel.wait_closed()
            return
        client.noise_key = established.client_static
        payload = ClientPayload.FromString(established.payload)
        version = payload.user_agent.app_version
        client.version = f"{version.primary}.{version.secondary}.{version.tertiary}"
        if payload.username:
            await self._serve_device(client, str(payload.username), payload.device)
        else:
            await self._serve_newcomer(client, payload.device_pairing_data)

    async def _serve_newcomer(self, client: Client, data: Any) -> None:
        client.state = "pairing"
        if reason := self.knobs.fail("connect_failure"):
            await client.fail(reason)
            return
        offer = Offer(client, data, self.knobs.current.refs)
        client.start(self._show(offer), after=self.knobs.current.qr_delay_seconds)
        await client.run(lambda node: _answer_newcomer(client, node))

    async def _show(self, offer: Offer) -> None:
        self._offers[offer.client.number] = offer
        drop_after = self.knobs.current.drop_after_seconds
        await offer.show()
        offer.client.start(offer.client.channel.close(), after=offer.lifetime)
        if drop_after is not None:
            offer.client.start(self._drop(offer.client), after=drop_after)

    async def _drop(self, client: Client) -> None:
        if self.knobs.fail("drop_after_seconds") is not None:
            client.channel.cut()

    async def _serve_device(self, client: Client, number: str, index: int) -> None:
        client.state = "login"
        device = self.store.device(number, index)
        if device is None or device.noise_key != client.noise_key:
            await client.fail(_UNLINKED)
            return
        if reason := self.knobs.fail("login_failure"):
            if reason in _GONE_FOR_GOOD:
                self.store.unlink(number, index)
            await client.fail(reason)
            return
        account = self.store.accounts[number]
        client.jid = account.jid(index)
        login = DeviceLogin(client, account, device, self.store, self.knobs)
        client.start(self._welcome(login), after=self.knobs.current.login_delay_seconds)
        await client.run(login.handle)

    async def _welcome(self, login: DeviceLogin) -> None:
        key = (login.account.number, login.device.index)
        device = self.store.device(*key)
        if device is None or device.noise_key != login.client.noise_key:  # unlinked during the delay
            await login.client.fail(_UNLINKED)
            return
        former = self._logins.get(key)
        self._logins[key] = login.client
        if former is not None:
            await former.stream_error(conflict="replaced")
        await login.welcome()


async def _answer_newcomer(client: Client, node: Node) -> None:
    """Answer a client without an account. It asks only whether the connection is alive."""
    if node.tag == "iq":
        await client.answer(node)
