"""The lines between a child and its parent: one JSON object each, never logged.

Parent to child, once, on standard input: ``{"task": "pair" | "resume" | "log_out" | "create_tables", "dsn", "jid"}``.
End of input means that the parent is gone. Child to parent: ``{"event": name, …}`` with the names below.
"""

import json
from typing import Any

from whatsapp_pairing.engine import (
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
from whatsapp_pairing.reasons import Reason

# The child says this once a second, whatever its engine does.
BEAT = "beat"
# The child has done a task that has no other event.
DONE = "done"

_BARE: dict[str, Event] = {
    "reached": Reached(),
    "exhausted": Exhausted(),
    "synced": Synced(),
    "logged_out": LoggedOut(),
    "replaced": Replaced(),
    "unreachable": Unreachable(),
}


def encode(name: str, **fields: object) -> bytes:
    """Return one line."""
    return json.dumps({"event": name, **fields}).encode() + b"\n"


def decode(line: bytes) -> Event | str:
    """Return the event in a line; ``BEAT`` and ``DONE`` come back as they are.

    Raises
    ------
    ValueError
        The line is not one of ours.
    """
    fields: dict[str, Any] = json.loads(line)
    name = fields.pop("event", None)
    if name in (BEAT, DONE):
        return str(name)
    if name in _BARE:
        return _BARE[name]
    match name:
        case "qr":
            return Qr(**fields)
        case "scanned":
            return Scanned(**fields)
        case "online":
            return Online(**fields)
        case "refused":
            return Refused(Reason(fields["reason"]))
    raise ValueError("unknown event")
