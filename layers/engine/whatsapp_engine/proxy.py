"""The proxy between the engine and WhatsApp: which URLs are good, and which errors are the proxy's.

The texts of Go hold hosts and what the proxy has sent. So our words hold only what the lists here name.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, unquote_to_bytes

from whatsapp_pairing.core.errors import MisconfiguredError

# User and password may hold everything but the characters that end them. A bare % is refused, because it may be a plain
# one or a part of an escape. A host has no zone, which Go's client does not reach.
_URL = re.compile(
    r"(?P<scheme>https?|socks5)://"
    r"(?:(?P<user>(?:[^%:/?#@]|%[0-9a-f]{2})*)(?::(?P<password>(?:[^%/?#@]|%[0-9a-f]{2})*))?@)?"
    r"(?P<host>\[[0-9a-f:.]*:[0-9a-f:.]*\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII | re.IGNORECASE,
)
_FORM = "socks5://user:password@host:port, or the same with http:// or https://"

_DIAL = "failed to dial whatsapp web websocket"
# An HTTP proxy may choose its phrase for 407, and Go keeps only the phrase. SOCKS: "authentication failed", "no
# acceptable authentication methods". Go itself: "invalid username/password", if one of the two is missing.
_REFUSED_LOGIN = re.compile(r"authentication|authorization|unauthorized|invalid username/password", re.IGNORECASE)
_UNREACHABLE = ("connection refused", "no such host", "i/o timeout", "no route to host", "network is unreachable",
    "connection reset", "context deadline exceeded")  # fmt: skip
# Why a SOCKS proxy does not connect to the target, in the words of Go's library.
_SOCKS = ("general SOCKS server failure", "connection not allowed by ruleset", "network unreachable",
    "host unreachable", "connection refused", "TTL expired", "command not supported", "address type not supported",
)  # fmt: skip
_OTHER_PROTOCOL = "the proxy does not speak the protocol that its URL names"


@dataclass(frozen=True)
class ProxyFault:
    """Why WhatsApp cannot be reached through the proxy. ``login_refused``: user or password are wrong."""

    why: str
    login_refused: bool = False


def checked_proxy(url: str) -> str:
    """Return a proxy's URL as Go reads it: without space around it, with user and password escaped.

    Raises
    ------
    MisconfiguredError
        The engine cannot use this URL. The message quotes no part of it.

    Examples
    --------
    >>> checked_proxy(" socks5://me:p^w@proxy.example.com:1080 ")
    'socks5://me:p%5Ew@proxy.example.com:1080'
    """
    text = url.encode("utf-8", "replace").decode().strip()
    parts = _URL.fullmatch(text)
    if parts is None or re.search(r"[^\S ]", text) or not 0 < int(parts["port"] or 1) < 65536:
        raise MisconfiguredError(
            f"The proxy's URL is not of the form {_FORM}: write %40 %3A %2F %3F %23 %25 for @ : / ? # % in a password."
        )
    login = ":".join(_escaped(parts[name]) for name in ("user", "password") if parts[name] is not None)
    port = f":{parts['port']}" if parts["port"] else ""
    return f"{parts['scheme'].lower()}://{login}{'@' if login else ''}{parts['host']}{port}"


def _escaped(text: str) -> str:
    """Escape what Go refuses in a user or a password, such as ``^``, a quote, or a letter outside ASCII."""
    return quote(unquote_to_bytes(text), safe="")


def proxy_fault(text: str) -> ProxyFault | None:
    """Return what is wrong with the way through the proxy; None when WhatsApp itself has answered.

    Examples
    --------
    >>> proxy_fault("failed to dial whatsapp web websocket: failed to WebSocket dial: failed to send handshake "
    ...     'request: Get "https://web.whatsapp.com/ws/chat": Proxy Authentication Required')
    ProxyFault(why='the proxy refuses the user or the password', login_refused=True)
    """
    if not text.startswith(_DIAL) or "status code" in text:
        return None
    last = text.rpartition(": ")[2]
    if _REFUSED_LOGIN.search(last):
        return ProxyFault("the proxy refuses the user or the password", login_refused=True)
    return ProxyFault(_reason(text, last))


def _reason(text: str, last: str) -> str:
    if "unknown error " in last:
        return _told("the proxy does not connect to WhatsApp", last, _SOCKS)
    if "proxyconnect" in text or "socks connect" in text:
        if "tls: " in text or "x509: " in text:
            return "TLS to the proxy fails"
        return _told("the proxy cannot be reached", text, _UNREACHABLE, otherwise=_OTHER_PROTOCOL)
    if "malformed HTTP" in text:
        return _OTHER_PROTOCOL
    # A proxy of HTTP says why it does not connect by a status. Go keeps only its phrase.
    phrases = tuple(status.phrase for status in HTTPStatus if status.phrase == last)
    return _told("WhatsApp cannot be reached through the proxy", last, phrases)


def _told(what: str, text: str, known: tuple[str, ...], otherwise: str | None = None) -> str:
    return next((f"{what}: {words}" for words in known if words in text), otherwise or what)
