"""The keys that a Supabase project publishes (JWKS): fetched, cached, and asked for again when one is missing."""

import json
import socket
import threading
import time
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import jwt

from whatsapp_pairing.core.errors import Unavailable
from whatsapp_pairing.runtime import limits

# The algorithms that are accepted with a published key. HS256 is not among them. Otherwise an attacker could sign a
# token with the public key as the shared secret.
ASYMMETRIC = ["ES256", "RS256"]

_LIVE_SECONDS = 600
# An unknown key makes us fetch again, at most every 5 s. So a new key works at its first token, or 5 s later at most.
# Invented key ids cause few requests.
_ASK_AGAIN_SECONDS = 5
# After a failure, the server is left alone for this long, or for as long as the failure took, whichever is longer.
_TRY_AGAIN_SECONDS = 1
_ANSWER_SECONDS = 3
_LARGEST_BYTES = 256 * 1024
# Some CDNs refuse the User-Agent of Python's own client.
_HEADERS = {"User-Agent": "whatsapp-pairing", "Accept": "application/json"}
_PUBLISHES_NONE = (404, 410)
_FAILURES = (OSError, HTTPException, ValueError, TypeError, LookupError, RecursionError, limits.OutOfTimeError)


class PublishedKeys:
    """The usable keys of one project by their ids.

    Parameters
    ----------
    url : str
        Where the project publishes them.
    optional : bool
        Whether a project without such an address (404, 410) counts as one with no keys. Otherwise it is unavailable.
    """

    def __init__(self, url: str, optional: bool = False) -> None:
        self._url = urlsplit(url)
        self._optional = optional
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._not_before = 0.0
        self._fetching = threading.Lock()

    def find(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key, or None when the project publishes no key with this id.

        Calls at the same moment wait for one fetch, and share its result.

        Raises
        ------
        Unavailable
            The keys cannot be fetched, so nobody knows whether the key exists.
        """
        if self._must_ask(key_id):
            with self._fetching:
                if self._must_ask(key_id):
                    self._fetch()
        return self._keys.get(key_id)

    def _must_ask(self, key_id: str) -> bool:
        age = float("inf") if self._read_at is None else time.monotonic() - self._read_at
        return age >= _LIVE_SECONDS or (key_id not in self._keys and age >= _ASK_AGAIN_SECONDS)

    def _fetch(self) -> None:
        started = time.monotonic()
        if started < self._not_before:
            raise Unavailable(detail="the project's keys could not be fetched a moment ago")
        try:
            # The download's own timeout does not cover the look-up of the name, and begins anew for each address.
            self._keys = self._usable(limits.in_time(self._download, 2 * _ANSWER_SECONDS))
        except _FAILURES as error:
            now = time.monotonic()
            self._not_before = now + max(_TRY_AGAIN_SECONDS, now - started)
            # `from None`, because the message may quote what the server sent.
            raise Unavailable(detail=f"the project's keys cannot be fetched: {type(error).__name__}") from None
        self._read_at = time.monotonic()

    def _download(self) -> Any:
        """Return the parsed answer. The download follows no redirect, and its size and its time are limited."""
        kind = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=_ANSWER_SECONDS)
        with closing(connection):
            connection.connect()
            # The connection's own timeout is for each read. A server that sends one byte a second would never reach it.
            alarm = threading.Timer(_ANSWER_SECONDS, _hang_up, [connection.sock])
            alarm.start()
            try:
                connection.request("GET", self._url.path, headers=_HEADERS)
                with connection.getresponse() as answer:
                    status, body = answer.status, answer.read(_LARGEST_BYTES + 1)
                    # `length` is the number of announced bytes that have not come.
                    whole = not answer.length and len(body) <= _LARGEST_BYTES and alarm.is_alive()
            finally:
                alarm.cancel()
        if self._optional and status in _PUBLISHES_NONE:
            return {"keys": []}
        if status != 200 or not whole:
            raise ValueError("no set of keys")
        return json.loads(body)

    @staticmethod
    def _usable(document: Any) -> dict[str, jwt.PyJWK]:
        listed = document["keys"]
        if listed is None:
            return {}  # Go writes an empty list like this
        if not isinstance(listed, list):
            raise TypeError("not a list")
        keys: dict[str, jwt.PyJWK] = {}
        for described in listed:
            try:
                key = jwt.PyJWK(described)
                signs = described.get("use", "sig") == "sig" and key.algorithm_name in ASYMMETRIC
                if signs and isinstance(key.key_id, str):
                    keys.setdefault(key.key_id, key)
            except (jwt.PyJWTError, ValueError, TypeError, LookupError, AttributeError):
                continue  # we do not know this kind of key; the others are still usable
        return keys


def _hang_up(connected: socket.socket) -> None:
    # Shut the plain socket down. The TLS socket's own `shutdown` would break the thread that reads.
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
