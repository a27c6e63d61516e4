"""Tells why TLS to Postgres fails: a second handshake, after a driver's first one has failed.

libpq says only "certificate verify failed" for an unknown authority, an expired certificate and several others.
Python's ssl tells them apart. This module is imported only after a failure, and its handshake is limited in time.
"""

import socket
import ssl
import struct
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

# The whole second look takes no longer than this.
SECONDS = 2.0

_SSL_REQUEST = struct.pack("!II", 8, 80877103)
_GIVE_ROOT = 'give its root as the key "ca" of the secret, or as sslrootcert in the URL'

# Why TLS to Postgres fails. The engine's texts use these words too (whatsapp_engine/store.py).
NO_TLS = "the server offers none: switch it on there, or name sslmode=disable in the URL"
NOT_POSTGRES = "the server at the URL's host and port is not Postgres: correct the host or the port"
SILENT = "the server accepts the connection and does not answer the handshake"
CUT = "the server ends the connection during the handshake"
OLD = "the server speaks only versions before 1.2: let it speak a newer one"
UNKNOWN = f"an unknown authority has signed the server's certificate: {_GIVE_ROOT}"
SAME_NAME = (
    f"an authority with the name, but not the key, of a known one has signed the server's certificate: {_GIVE_ROOT}"
)
SELF_SIGNED = f"the server has signed its certificate itself: let an authority sign it, and {_GIVE_ROOT}"
INCOMPLETE = (
    "an unknown authority has signed the server's certificate, or the server does not send the certificate of an "
    f"authority between it and the root: let it send that, or {_GIVE_ROOT}"
)
EXPIRED = "the server's certificate, or an authority's above it, has expired: renew it"
NOT_YET = "the server's certificate is not valid yet: check its date and this machine's clock"
WRONG_NAME = "the server's certificate is for another name than the URL's host: write the certificate's name there"
NO_ADDRESS = (
    "the server's certificate does not list the address that the URL has as host: write the certificate's name there"
)
ONLY_COMMON_NAME = (
    "the server's certificate has its name only in CN, which the engine's driver refuses: renew it with the name as "
    "subjectAltName"
)
WEAK = "the server's certificate, or an authority's above it, has a key or a signature that is too weak: renew it"
REFUSED = "the server's certificate is refused"
OTHER = "the handshake fails"

_CUTS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionResetError, BrokenPipeError)
# The verification's codes, as OpenSSL's x509_vfy.h numbers them.
_BY_CODE = {
    2: INCOMPLETE,
    7: SAME_NAME,
    9: NOT_YET,
    10: EXPIRED,
    18: SELF_SIGNED,
    19: UNKNOWN,
    20: INCOMPLETE,
    21: INCOMPLETE,
    66: WEAK,
    67: WEAK,
    68: WEAK,
}


@dataclass(frozen=True)
class TlsFault:
    """Why TLS fails. ``passes`` tells whether another try may help."""

    cause: str
    passes: bool = False

    @property
    def why(self) -> str:
        """One sentence without its full stop, which may be logged."""
        return f"TLS to Postgres fails, because {self.cause}"


def tls_fault(url: str, seconds: float = SECONDS) -> TlsFault | None:
    """Look why TLS fails on the way to a normalised URL.

    Returns
    -------
    TlsFault or None
        None if the handshake succeeds, if the URL demands no TLS, or if no server accepts the connection.
    """
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    mode = query.get("sslmode")
    if mode not in ("require", "verify-ca", "verify-full") or not parts.hostname:
        return None
    try:
        _shake_hands((parts.hostname, parts.port or 5432), mode, query.get("sslrootcert"), time.monotonic() + seconds)
    except _RefusedError as refusal:
        return TlsFault(refusal.cause)
    except TimeoutError:
        return TlsFault(SILENT, passes=True)
    except _CUTS:
        return TlsFault(CUT, passes=True)
    except ssl.SSLError as error:
        return _about(error)
    except OSError:
        pass
    return None


def _shake_hands(address: tuple[str, int], mode: str, root: str | None, ends_at: float) -> None:
    """Check the chain first and the name afterwards, because the certificate of a refused handshake is not shown."""
    context = _context(root if mode != "require" else None)
    certificate = _handshake(address, context, ends_at)
    if mode == "verify-full":
        context.check_hostname, context.hostname_checks_common_name = True, False
        try:
            _handshake(address, context, ends_at)
        except ssl.SSLCertVerificationError:
            raise _RefusedError(_about_name(address[0], certificate)) from None


def _about(error: ssl.SSLError) -> TlsFault:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFault(_BY_CODE.get(error.verify_code, f"{REFUSED}: {error.verify_message}"))
    if reason == "WRONG_VERSION_NUMBER":  # the server goes on without TLS, although it has agreed to TLS
        return TlsFault(NOT_POSTGRES)
    old = "UNSUPPORTED_PROTOCOL" in reason or "PROTOCOL_VERSION" in reason
    return TlsFault(OLD if old else f"{OTHER}: {reason}")


class _RefusedError(Exception):
    """The server does not agree to TLS, or its certificate has another name."""

    def __init__(self, cause: str) -> None:
        self.cause = cause


def _context(root: str | None) -> ssl.SSLContext:
    """Return what libpq demands of the server's certificate, except of its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    if root is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(root)
    return context


def _handshake(address: tuple[str, int], context: ssl.SSLContext, ends_at: float) -> dict[str, Any]:
    with _connection(address, ends_at) as connection:
        connection.settimeout(max(0.01, ends_at - time.monotonic()))
        connection.sendall(_SSL_REQUEST)
        answer = connection.recv(1)
        if answer == b"N":
            raise _RefusedError(NO_TLS)
        if not answer:
            raise ConnectionResetError
        if answer not in (b"S", b"E"):
            raise _RefusedError(NOT_POSTGRES)
        if answer != b"S":
            raise ConnectionError
        connection.settimeout(max(0.01, ends_at - time.monotonic()))
        with context.wrap_socket(connection, server_hostname=address[0]) as wrapped:
            return dict(wrapped.getpeercert() or {})


def _connection(address: tuple[str, int], ends_at: float) -> socket.socket:
    try:
        return socket.create_connection(address, max(0.01, ends_at - time.monotonic()))
    except TimeoutError:
        raise ConnectionError from None  # no server accepts the connection, so this is not about TLS


def _about_name(host: str, certificate: dict[str, Any]) -> str:
    kinds = {kind for kind, _ in certificate.get("subjectAltName", ())}
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return WRONG_NAME if "DNS" in kinds else ONLY_COMMON_NAME
    return NO_ADDRESS
