"""The paths that exist only in the local system: sign-in, the sandbox's phone, the running instances."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import psycopg

from infra.local.functions.invoker import Invoker
from infra.local.gateway.payload import HttpRequest, HttpResponse
from infra.local.standins.supabase_auth import SupabaseAuth
from infra.local.standins.whatsapp import SandboxControl, WhatsApp

_Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


class _BadRequest(Exception):
    """The caller has sent something unusable. The message says what."""


class DeveloperPaths:
    """Answers requests to these paths.

    Parameters
    ----------
    auth
        Issues tokens.
    invoker
        Lists the running instances.
    whatsapp
        The WhatsApp of this run.
    sandbox
        The sandbox's phone; None for another WhatsApp.
    aws_url
        The address of moto. With AWS_ENDPOINT_URL set to it, the AWS CLI shows the executions.
    password
        The password of the paths under ``/dev/``, for HTTP Basic with any user name; None if they need none.
        ``/dev/token`` gives a token for any user, so strangers must not reach it.
    """

    def __init__(
        self,
        auth: SupabaseAuth,
        invoker: Invoker,
        whatsapp: WhatsApp,
        sandbox: SandboxControl | None,
        aws_url: str,
        password: str | None = None,
    ) -> None:
        self._password = password
        self._auth = auth
        self._invoker = invoker
        self._whatsapp = whatsapp
        self._sandbox = sandbox
        self._aws_url = aws_url
        self._handlers: dict[str, dict[str, _Handler]] = {
            "/auth/v1/.well-known/jwks.json": {"GET": self._jwks},
            "/dev/token": {"POST": self._token},
            "/dev/config": {"GET": self._config},
            "/dev/functions": {"GET": self._functions},
            "/dev/phone/scan": {"POST": self._scan},
            "/dev/phone/unlink": {"POST": self._unlink},
            "/dev/phone/devices": {"GET": self._devices},
        }

    async def answer(self, request: HttpRequest) -> HttpResponse | None:
        """Answer a request. Return None if the path is not one of these."""
        methods = self._handlers.get(request.path)
        if methods is None:
            return None
        if self._password is not None and request.path.startswith("/dev/") and not _knows(self._password, request):
            refused = _error(401, "password_needed", "this path needs the password that the local system printed")
            return replace(refused, headers=(*refused.headers, ("www-authenticate", 'Basic realm="local system"')))
        handler = methods.get(request.method, self._not_allowed)
        try:
            return await handler(request)
        except _BadRequest as error:
            return _error(400, "bad_request", str(error))
        except psycopg.Error as error:
            return _error(503, "database_unreachable", f"the database does not answer: {type(error).__name__}")
        except (aiohttp.ClientError, TimeoutError):
            return _error(502, "sandbox_unreachable", "the sandbox WhatsApp does not answer; see its log")

    async def _not_allowed(self, request: HttpRequest) -> HttpResponse:
        allowed = ", ".join(self._handlers[request.path])
        response = _error(405, "method_not_allowed", f"this path takes {allowed} only")
        return replace(response, headers=(*response.headers, ("allow", allowed)))

    async def _jwks(self, _: HttpRequest) -> HttpResponse:
        return _json(200, self._auth.jwks)

    async def _token(self, request: HttpRequest) -> HttpResponse:
        body = _body(request, optional=True)
        given, level = body.get("userId"), body.get("aal", "aal1")
        try:
            user = None if given is None else uuid.UUID(given)
        except (AttributeError, TypeError, ValueError):
            raise _BadRequest("userId must be a UUID") from None
        if level not in ("aal1", "aal2"):
            raise _BadRequest("aal must be aal1 or aal2")
        return _json(200, await asyncio.to_thread(self._auth.sign_in, user, level))

    async def _config(self, _: HttpRequest) -> HttpResponse:
        return _json(
            200,
            {
                "whatsapp": self._whatsapp.mode,
                "sandboxPhone": self._sandbox is not None,
                "sandboxControl": self._whatsapp.control_url,
                "awsEndpoint": self._aws_url,
            },
        )

    async def _functions(self, _: HttpRequest) -> HttpResponse:
        return _json(
            200,
            [
                {
                    "name": instance.function.short_name,
                    "pid": instance.pid,
                    "busySince": _moment(instance.current.started) if instance.current else None,
                }
                for instance in self._invoker.instances()
            ],
        )

    async def _scan(self, request: HttpRequest) -> HttpResponse:
        return await self._phone("POST", "/phone/scan", _texts(request, "qr", "number"))

    async def _unlink(self, request: HttpRequest) -> HttpResponse:
        return await self._phone("POST", "/phone/unlink", _texts(request, "number"))

    async def _devices(self, request: HttpRequest) -> HttpResponse:
        return await self._phone("GET", "/phone/devices", query=request.query)

    async def _phone(self, method: str, path: str, body: object = None, query: str = "") -> HttpResponse:
        if self._sandbox is None:
            text = f"there is no sandbox phone: the runner was started with --whatsapp {self._whatsapp.mode}"
            return _error(404, "no_sandbox_phone", text)
        status, answer = await self._sandbox.call(method, path, body, query)
        return HttpResponse(status, answer, (("content-type", "application/json"),))


def _knows(password: str, request: HttpRequest) -> bool:
    for name, value in request.headers:
        scheme, _, credentials = value.partition(" ")
        if name.lower() == "authorization" and scheme.lower() == "basic":
            try:
                given = base64.b64decode(credentials, validate=True).partition(b":")[2]
            except ValueError:
                return False
            return hmac.compare_digest(given, password.encode())
    return False


def _body(request: HttpRequest, *, optional: bool = False) -> dict[str, Any]:
    if optional and not request.body.strip():
        return {}
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise _BadRequest("the body is not JSON") from None
    if not isinstance(body, dict):
        raise _BadRequest("the body must be a JSON object")
    return body


def _texts(request: HttpRequest, *names: str) -> dict[str, str]:
    body = _body(request)
    for name in names:
        if not isinstance(body.get(name), str) or not body[name]:
            raise _BadRequest(f"{name} must be a string")
    return {name: body[name] for name in names}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(status: int, value: object) -> HttpResponse:
    headers = (("content-type", "application/json"), ("cache-control", "no-store"))
    return HttpResponse(status, json.dumps(value).encode(), headers)


def _error(status: int, code: str, text: str) -> HttpResponse:
    return _json(status, {"error": code, "message": text})
