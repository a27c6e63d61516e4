"""The proxy between the engine and WhatsApp: which URLs are good, and which errors are the proxy's.

The texts of Go hold hosts and what the proxy has sent. So our words hold only what the lists here name.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from whatsapp_pairing.core.errors import MisconfiguredError

_SCHEMES = ("http", "https", "socks5")
_FORM = "socks5://user:password@host:port, or the same with http:// or https://"

_DIAL = "failed to dial whatsapp web websocket"
_REFUSED_LOGIN = (
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED.phrase,
    "username/password authentication failed",
    "no acceptable authentication methods",
)
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
    """Return a proxy's URL without the space around it.

    Raises
    ------
    MisconfiguredError
        The engine cannot use this URL. The message quotes no part of it.
    """
    text = url.strip()
    try:
        parts = urlsplit(text)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or not re.fullmatch(r"\w+://(?:[^\s/?#@]*@)?[^\s/?#@]+/?", text):
        raise MisconfiguredError(
            f"The proxy's URL is not of the form {_FORM}: write %40 %3A %2F %3F %23 %25 for @ : / ? # % in a password."
        )
    return text


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
    if last in _REFUSED_LOGIN:
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
