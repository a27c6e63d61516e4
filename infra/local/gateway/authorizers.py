"""Lambda authorizers with simple responses, and their cache."""

from __future__ import annotations

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from infra.local.errors import InvocationError
from infra.local.functions.invoker import Invoker
from infra.local.gateway.payload import HttpRequest, HttpResponse, authorizer_event, message
from infra.template.stack_definition import Authorizer, Route

logger = logging.getLogger(__name__)

# A load test sends many tokens, so the cache needs a limit.
MAX_CACHED = 10_000

UNAUTHORIZED = message(401, "Unauthorized")
FORBIDDEN = message(403, "Forbidden")
ERROR = message(500, "Internal Server Error")


class Refused(Exception):
    """The request does not reach its function. `response` is the answer."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(response.status)
        self.response = response


class AuthorizerCache:
    """Asks authorizers. It remembers each answer by its identity source, for as long as the template says.

    Parameters
    ----------
    invoker
        Invokes the authorizer's function.
    clock
        Returns seconds that never go back.
    """

    def __init__(self, invoker: Invoker, clock: Callable[[], float] = time.monotonic) -> None:
        self._invoker = invoker
        self._clock = clock
        self._answers: OrderedDict[tuple[str, ...], tuple[float, bool, dict[str, Any]]] = OrderedDict()

    async def context(
        self, authorizer: Authorizer, request: HttpRequest, route: Route, parameters: dict[str, str]
    ) -> dict[str, Any]:
        """Return the context that the authorizer gives to an allowed request.

        Raises
        ------
        Refused
            With 401 if an identity header is missing, 403 if the authorizer denies the request, 500 if it fails.
        """
        identity = [request.header(name) or "" for name in authorizer.headers]
        if not all(identity):
            raise Refused(UNAUTHORIZED)
        key = (authorizer.name, *identity)
        known = self._answers.get(key)
        if known is not None and known[0] > self._clock():
            allowed, context = known[1:]
        else:
            event = authorizer_event(request, route, parameters, identity)
            allowed, context = await self._ask(authorizer, event)
            self._remember(key, authorizer.ttl if identity else 0, allowed, context)
        if not allowed:
            raise Refused(FORBIDDEN)
        return context

    async def _ask(self, authorizer: Authorizer, event: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        try:
            answer = await self._invoker.invoke(authorizer.function, json.dumps(event).encode())
        except InvocationError as error:
            logger.warning("authorizer %s: %s", authorizer.name, error)
            raise Refused(ERROR) from error
        verdict = None if answer.failed else json.loads(answer.payload)
        if not isinstance(verdict, dict) or not isinstance(verdict.get("isAuthorized"), bool):
            raise Refused(ERROR)
        return verdict["isAuthorized"], verdict.get("context") or {}

    def _remember(self, key: tuple[str, ...], ttl: float, allowed: bool, context: dict[str, Any]) -> None:
        if ttl > 0:
            self._answers[key] = (self._clock() + ttl, allowed, context)
            self._answers.move_to_end(key)
            if len(self._answers) > MAX_CACHED:
                self._answers.popitem(last=False)
