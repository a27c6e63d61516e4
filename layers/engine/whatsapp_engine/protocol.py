"""The lines between a child and its parent. Each line is one JSON object, and no line is ever logged.

The parent writes to the child's standard input. Its first line is the task:
``task`` makes it. Later it writes
``{"until"}`` each time that the child may live longer. A child with the task "log_out" waits for ``{"confirm"}`` before
it logs out. End of input means that the parent is gone (``lifeline.py``).

The child writes ``{"event": name, …}`` to its pipe, with the names below.
"""

import json
from collections.abc import Callable
from typing import Any

from whatsapp_pairing.core.engine import (
    DatabaseFailed,
    Event,
    Exhausted,
    LoggedOut,
    Online,
    Qr,
    Reached,
    Refused,
    Replaced,
    Scanned,
    Synced,
    Unreachable,
)
from whatsapp_pairing.core.reasons import Reason

# The child writes this once a second, whatever its engine does.
BEAT = "beat"
# The child has done a task that has no other event.
DONE = "done"


_BARE: dict[str, Event] = {
    "reached": Reached(),
    "exhausted": Exhausted(),
    "synced": Synced(),
    "logged_out": LoggedOut(),
    "replaced": Replaced(),
}

_FULL: dict[str, Callable[..., Event]] = {
    "store_failed": DatabaseFailed,
    "unreachable": Unreachable,
    "qr": Qr,
    "scanned": Scanned,
    "online": Online,
    "refused": lambda reason: Refused(Reason(reason)),
}


def task(name: str, dsn: str, until: float, jid: str | None = None, proxy: str | None = None) -> dict[str, object]:
    """Return the first line for a child.

    Parameters
    ----------
    name : str
        ``pair``, ``resume``, ``log_out`` or ``create_tables``.
    dsn : str
        The URL of the engine's database.
    until : float
        When the child ends, by the monotonic clock.
    jid : str, optional
        The stored device to log in.
    proxy : str, optional
        The URL of the proxy to WhatsApp.
    """
    return {"task": name, "dsn": dsn, "until": until, "jid": jid, "proxy": proxy}


def encode(name: str, **fields: object) -> bytes:
    """Return one line."""
    return json.dumps({"event": name, **fields}).encode() + b"\n"


def decode(line: bytes) -> Event | str:
    """Return the event in a line; for ``BEAT`` and ``DONE``, the name.

    Raises
    ------
    ValueError
        The line is not one of ours.
    """
    try:
        fields: dict[str, Any] = json.loads(line)
        name = fields.pop("event")
        if name in (BEAT, DONE):
            return str(name)
        return _BARE[name] if name in _BARE else _FULL[name](**fields)
    except (KeyError, TypeError, AttributeError):
        raise ValueError("not a line of ours") from None
