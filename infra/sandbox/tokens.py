"""The strings of WhatsApp's dictionary that clients were seen to send to a server."""

from __future__ import annotations

SINGLE: dict[int, str] = {
    3: "s.whatsapp.net",
    4: "type",
    5: "participant",
    6: "from",
    7: "receipt",
    8: "id",
    9: "notification",
    12: "jid",
    17: "to",
    20: "result",
    22: "xmlns",
    25: "iq",
    41: "get",
    56: "text",
    65: "count",
    80: "key-index",
    85: "1",
    90: "set",
    92: "props",
    108: "value",
    112: "code",
    113: "list",
    141: "401",
    148: "recipient",
    156: "identity",
    158: "key",
    168: "error",
    173: "registration",
    203: "encrypt",
    212: "signature",
    226: "privacy",
    230: "device-identity",
}

# (dictionary byte, index) → string
DOUBLE: dict[tuple[int, int], str] = {
    (236, 1): "active",
    (236, 3): "protocol",
    (236, 24): "passive",
    (236, 37): "sender",
    (236, 45): "skey",
    (236, 46): "reason",
    (236, 217): "blocklist",
    (236, 239): "abt",
}


def single(token: int) -> str:
    """Return the string of a one-byte token, or a made-up name if the token is unknown."""
    return SINGLE.get(token, f"token-{token}")


def double(dictionary: int, index: int) -> str:
    """Return the string of a two-byte token, or a made-up name if the token is unknown."""
    return DOUBLE.get((dictionary, index), f"token-{dictionary}-{index}")
