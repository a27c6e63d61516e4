"""The HTTP control of the sandbox, for testers, tests and pages.

POST /phone/scan     {"qr", "number"}    pair the client that shows this QR with the phone of this number
POST /phone/unlink   {"number"}          unlink all devices of a phone
GET  /phone/devices  ?number=            list them
GET, PATCH, DELETE /knobs                the settings that make the sandbox misbehave; see `knobs`
GET  /state                              connections, refused hosts, counts

Every refusal is {"error": code, "message": sentence} with the status in `errors`.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.sandbox.errors import BadRequestError
from infra.sandbox.phone import Phone, timestamp
from infra.sandbox.proxy import Proxy
from infra.sandbox.server import WhatsAppServer
from infra.sandbox.web import Action, Body


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Form = TypeVar("Form", bound=_Form)


class _Scan(_Form):
    qr: str
    number: str


class _Number(_Form):
    number: str


class Control:
    """The actions behind the HTTP routes.

    Parameters
    ----------
    server, phone, proxy
        The objects that the actions use.
    """

    def __init__(self, server: WhatsAppServer, phone: Phone, proxy: Proxy) -> None:
        self._server = server
        self._phone = phone
        self._proxy = proxy
        self.routes: dict[str, dict[str, Action]] = {
            "/phone/scan": {"POST": self._scan},
            "/phone/unlink": {"POST": self._unlink},
            "/phone/devices": {"GET": self._devices},
            "/knobs": {"GET": self._knobs, "PATCH": self._change_knobs, "DELETE": self._reset_knobs},
            "/state": {"GET": self._state},
        }

    async def _scan(self, body: Body) -> Body:
        form = _read(_Scan, body)
        return await self._phone.scan(form.qr, form.number)

    async def _unlink(self, body: Body) -> Body:
        return {"removed": await self._phone.unlink(_read(_Number, body).number)}

    async def _devices(self, body: Body) -> Body:
        return {"devices": self._phone.devices(_read(_Number, body).number)}

    async def _knobs(self, _: Body) -> Body:
        return self._server.knobs.shown()

    async def _change_knobs(self, body: Body) -> Body:
        self._server.knobs.change(body)
        return self._server.knobs.shown()

    async def _reset_knobs(self, _: Body) -> Body:
        self._server.knobs.reset()
        return self._server.knobs.shown()

    async def _state(self, _: Body) -> Body:
        accounts = self._server.store.accounts.values()
        return {
            "sockets": [
                {"id": client.number, "state": client.state, "openedAt": timestamp(client.opened_at)}
                | ({"version": client.version} if client.version else {})
                | ({"jid": str(client.jid)} if client.jid else {})
                for client in self._server.clients.values()
            ],
            "refusedHosts": self._proxy.refused,
            "accounts": len(accounts),
            "devices": sum(len(account.devices) for account in accounts),
            "connections": self._proxy.tunnels,
        }


def _read(form: type[Form], body: Body) -> Form:
    try:
        return form.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRequestError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
