"""The limits of the HTTP API. A request above its limit is not passed on."""

from __future__ import annotations

import time
from collections.abc import Callable

from infra.template.stack_definition import Limit, Limits


class Throttle:
    """Counts requests against the API's limits. A route with a limit of its own does not count for the others.

    Parameters
    ----------
    limits
        The limits. Without any, every request may pass.
    clock
        Returns the present time in seconds.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._default = None if limits.default is None else _Bucket(limits.default, clock)
        self._routes = {route: _Bucket(limit, clock) for route, limit in limits.routes.items()}

    def allows(self, route: str) -> bool:
        """Count a request to the route with this key. Return whether it may pass."""
        bucket = self._routes.get(route, self._default)
        return bucket is None or bucket.take()


class _Bucket:
    """Holds up to `burst` tokens. Each request takes one, and `rate` come back each second."""

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._filled = clock()

    def take(self) -> bool:
        now = self._clock()
        self._tokens = min(self._limit.burst, self._tokens + (now - self._filled) * self._limit.rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
