"""The URL with which an instance logs in to a server, and what to do when the server refuses the login.

A password is changed at the server and in the secret. Until then, or when one of the two was forgotten, each login is
refused. Supavisor blocks an address for ten minutes after ten refused logins within five minutes, and the block also
hits those who have the right password. So an instance does not try a refused URL at each request.
"""

import math
import time
from collections.abc import Callable

from whatsapp_pairing.core.errors import LoginRefused, MisconfiguredError, SecretUnavailable
from whatsapp_pairing.runtime import secrets

# While a URL is refused, the secret is read at most this often.
LOOK_SECONDS = 30.0
# A refused URL is tried again after this time, because somebody may have changed the role at the server. It is as long
# as the time in which Supavisor counts refusals.
AGAIN_SECONDS = 300.0


class Login:
    """A URL from a secret. It remembers the URL that the server has refused.

    Parameters
    ----------
    read : callable
        Returns the URL. Within ``secrets.read_anew`` it reads the secret anew.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(self, read: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._given: str | None = None
        self._refused: str | None = None
        self._look_at = self._again_at = -math.inf

    def url(self) -> str:
        """Return the URL for the next login.

        Raises
        ------
        LoginRefused
            The server has refused this URL, and the secret has not changed since.
        """
        url = self._read()
        if url == self._refused:
            changed = self._changed()
            if changed is None:
                self._forget_in_time()
            else:
                url = changed
        self._given = url
        return url

    def note_success(self) -> None:
        """Note that the server has accepted the login with the last URL."""
        self._refused = None
        self._look_at = -math.inf

    def note_refusal(self) -> bool:
        """Note that the server has refused the last URL, and read the secret once more.

        Returns
        -------
        bool
            Whether the secret has another URL now. Then one more login is worth a try.
        """
        self._refused = self._given
        self._again_at = self._clock() + AGAIN_SECONDS
        return self._changed() is not None

    def _changed(self) -> str | None:
        """Return the secret's URL if it is no longer the refused one. Read the secret at a bounded rate."""
        now = self._clock()
        if now < self._look_at:
            return None
        self._look_at = now + LOOK_SECONDS
        try:
            with secrets.read_anew():
                url = self._read()
        except (SecretUnavailable, MisconfiguredError):
            return None
        return None if url == self._refused else url

    def _forget_in_time(self) -> None:
        """Forget the refusal, so that one more login is tried, if its time has come.

        ``note_refusal`` notes a new one. After any other answer, such as that of a full server, the login may be tried
        at once.
        """
        if self._clock() < self._again_at:
            raise LoginRefused
        self._refused = None
