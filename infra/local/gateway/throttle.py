"""The limits of the HTTP API. A request above its limit is not passed on."""

from __future__ import annotations

import time
from collections.abc import Callable

from infra.template.stack_definition import Limit, Limits


class Throttle:
    """Counts the requests to each route against its own limit, or against the default one.

    Parameters
    ----------
    limits
        The limits. Without any, every request may pass.
    clock
        Returns the present time in seconds.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def allows(self, route: str) -> bool:
        """Count a request to the route with this key. Return whether it may pass."""
        limit = self._limits.routes.get(route, self._limits.default)
        if limit is None:
            return True
        if route not in self._buckets:
            self._buckets[route] = _Bucket(limit, self._clock)
        return self._buckets[route].take()


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
