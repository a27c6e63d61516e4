"""Growing pauses between tries."""

import random


class Backoff:
    """Pauses that double after each failed try.

    Parameters
    ----------
    first, most : float
        The first and the longest pause, in seconds.
    jitter : float
        Each pause is shortened at random, by this share of it at most. Otherwise many callers would try again at once.

    Examples
    --------
    >>> pauses = Backoff(first=1, most=4, jitter=0)
    >>> [pauses.next() for _ in range(4)]
    [1.0, 2.0, 4.0, 4.0]
    >>> pauses.reset(); pauses.next()
    1.0
    """

    def __init__(self, first: float = 0.25, most: float = 5.0, jitter: float = 0.2) -> None:
        self._first = first
        self._most = most
        self._jitter = jitter
        self._tries = 0

    def next(self) -> float:
        """Return how many seconds to wait before the next try."""
        pause = min(self._first * 2.0 ** min(self._tries, 30), self._most)
        self._tries += 1
        return pause * (1 - self._jitter * random.random())

    def reset(self) -> None:
        """Begin with the first pause again, because a try has worked."""
        self._tries = 0
