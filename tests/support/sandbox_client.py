"""A client of the sandbox's HTTP control."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

_SECONDS = 40


class SandboxRefusedError(Exception):
    """The sandbox answered with an error.

    Parameters
    ----------
    status
        The HTTP status.
    code
        The kind of error, as `unknown_qr`.
    message
        A sentence for a person.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code


class SandboxClient:
    """The phone and the knobs of a running sandbox.

    Parameters
    ----------
    control_url
        The `control` in the sandbox's ready line.

    Examples
    --------
    >>> sandbox = SandboxClient("http://127.0.0.1:4711")
    >>> sandbox.scan(qr_text, "34600111222")["jid"]
    '34600111222:1@s.whatsapp.net'
    """

    def __init__(self, control_url: str) -> None:
        self._url = control_url.rstrip("/")
        # Requests must not go through the machine's proxy.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def scan(self, qr: str, number: str) -> dict[str, Any]:
        """Scan a QR with the phone of this number. Return `jid` and `number` when the client is paired."""
        return self._call("POST", "/phone/scan", {"qr": qr, "number": number})

    def unlink(self, number: str) -> int:
        """Unlink all devices of a phone, and return how many there were."""
        return int(self._call("POST", "/phone/unlink", {"number": number})["removed"])

    def devices(self, number: str) -> list[dict[str, Any]]:
        """List the linked devices of a phone."""
        query = urllib.parse.urlencode({"number": number})
        return list(self._call("GET", f"/phone/devices?{query}")["devices"])

    def knobs(self) -> dict[str, Any]:
        """Return all knobs."""
        return self._call("GET", "/knobs")

    def set_knobs(self, **values: object) -> dict[str, Any]:
        """Set some knobs by their camelCase names, and return all."""
        return self._call("PATCH", "/knobs", values)

    def reset_knobs(self) -> dict[str, Any]:
        """Set all knobs to their defaults."""
        return self._call("DELETE", "/knobs")

    def state(self) -> dict[str, Any]:
        """Return the connections, the refused hosts, and counts."""
        return self._call("GET", "/state")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with self._opener.open(request, timeout=_SECONDS) as response:
                return dict(json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                answer = json.load(error)
            raise SandboxRefusedError(error.code, answer["error"], answer["message"]) from None
