"""A paired device: its login and the requests it makes afterwards."""

from __future__ import annotations

import time

from infra.sandbox.binary import SERVER, Node
from infra.sandbox.client import Client
from infra.sandbox.keys import verify
from infra.sandbox.knobs import KnobBoard
from infra.sandbox.store import Account, Device, Store

_KEY_TYPE = b"\x05"
_GOODBYE_SECONDS = 5


class DeviceLogin:
    """Serves one device that has proved that it has its keys.

    Parameters
    ----------
    client
        The connected client of the device.
    account, device
        The device, and the account that it is linked to.
    store
        Keeps the device's prekeys.
    knobs
        The settings that make the sandbox misbehave.
    """

    def __init__(self, client: Client, account: Account, device: Device, store: Store, knobs: KnobBoard) -> None:
        self.client = client
        self.account = account
        self.device = device
        self._store = store
        self._knobs = knobs

    async def welcome(self) -> None:
        """Let the device in."""
        lid = self.account.lid_jid(self.device.index)
        await self.client.channel.send(Node("success", {"t": str(int(time.time())), "lid": lid}))
        replace_after = self._knobs.current.replace_after_seconds
        if replace_after is not None:
            self.client.start(self._replace(), after=replace_after)

    async def _replace(self) -> None:
        if self._knobs.fail("replace_after_seconds") is not None:
            await self.client.stream_error(conflict="replaced")

    async def handle(self, node: Node) -> None:
        """Answer a request. A node that is no request gets no answer."""
        if node.tag != "iq":
            return
        if node.find("remove-companion-device") is not None:
            await self._log_out(node)
        elif node.attribute("xmlns") == "encrypt":
            await self._serve_keys(node)
        else:
            await self.client.answer(node)
            if node.find("active") is not None:
                self.client.state = "online"
                self.client.start(self._finish_sync(), after=self._knobs.current.sync_delay_seconds)

    async def _finish_sync(self) -> None:
        offline = Node("offline", {"count": "0"})
        await self.client.channel.send(Node("ib", {"from": SERVER}, [offline]))

    async def _log_out(self, node: Node) -> None:
        self._store.unlink(self.account.number, self.device.index)
        await self.client.answer(node)
        self.client.start(self.client.channel.close(), after=_GOODBYE_SECONDS)

    async def _serve_keys(self, node: Node) -> None:
        if node.attribute("type") == "set" and node.find("list") is not None:
            await self._keep_prekeys(node)
        elif node.find("count") is not None:
            await self.client.answer(node, Node("count", {"value": str(len(self.device.prekeys))}))
        elif node.find("digest") is not None:
            await self.client.answer(node, Node("digest"))
        else:
            await self.client.answer(node)

    async def _keep_prekeys(self, node: Node) -> None:
        key, signature = node.find("skey", "value"), node.find("skey", "signature")
        if key is None or signature is None:
            await self.client.refuse(node, "406", "not-acceptable")
            return
        if not verify(self.device.identity_key, _KEY_TYPE + key.data, signature.data):
            await self.client.refuse(node, "406", "not-acceptable")
            return
        prekeys = node.find("list")
        for entry in prekeys.children if prekeys else []:
            identifier, value = entry.find("id"), entry.find("value")
            if identifier and value:
                self.device.prekeys[int.from_bytes(identifier.data, "big")] = value.data
        self._store.save()
        await self.client.answer(node)
