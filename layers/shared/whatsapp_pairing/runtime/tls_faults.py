"""Makes a second TLS handshake after a driver's connection has failed, and returns the cause.

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
# A request to cancel a statement that nobody runs. The server ends the connection without a word.
_CANCEL_NOTHING = struct.pack("!IIII", 16, 80877102, 0, 0)
_GIVE_ROOT = 'give its root as the key "ca" of the secret, or as sslrootcert in the URL'

# Why TLS to Postgres fails. The engine's texts use these words too (whatsapp_engine/store.py).
NO_TLS = "the server offers none: switch it on there, or name sslmode=disable in the URL"
NOT_NOW = "the server refuses the connection before TLS begins, as a server without room does: try again later"
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
ASKS_FOR_CERTIFICATE = "the server asks for a client certificate: name its files as sslcert and sslkey in the URL"
REFUSES_CERTIFICATE = "the server refuses the client certificate that sslcert in the URL names: give one that it knows"
BAD_PAIR = "the files that sslcert and sslkey in the URL name are not a certificate and its key"
NO_AGREEMENT = (
    "the server refuses the handshake: it asks for a client certificate (sslcert and sslkey in the URL), or it knows "
    "none of the drivers' ciphers"
)
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
    if query.get("sslmode") not in ("require", "verify-ca", "verify-full") or not parts.hostname:
        return None
    try:
        _shake_hands((parts.hostname, parts.port or 5432), query, time.monotonic() + seconds)
    except _RefusedError as refusal:
        return TlsFault(refusal.cause, passes=refusal.cause == NOT_NOW)
    except TimeoutError:
        return TlsFault(SILENT, passes=True)
    except _CUTS:
        return TlsFault(CUT, passes=True)
    except ssl.SSLError as error:
        return TlsFault(_cause(error, "sslcert" in query))
    except OSError:
        pass
    return None


def _shake_hands(address: tuple[str, int], query: dict[str, str], ends_at: float) -> None:
    """Check the chain first and the name afterwards, because the certificate of a refused handshake is not shown."""
    context = _context(query)
    full = query["sslmode"] == "verify-full"
    certificate = _handshake(address, context, ends_at, last=not full)
    if full:
        context.check_hostname, context.hostname_checks_common_name = True, False
        try:
            _handshake(address, context, ends_at, last=True)
        except ssl.SSLCertVerificationError:
            raise _RefusedError(_about_name(address[0], certificate)) from None


def _cause(error: ssl.SSLError, gives_certificate: bool) -> str:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _BY_CODE.get(error.verify_code, f"{REFUSED}: {error.verify_message}")
    if reason == "WRONG_VERSION_NUMBER":  # the server goes on without TLS, although it has agreed to TLS
        return NOT_POSTGRES
    if "UNSUPPORTED_PROTOCOL" in reason or "PROTOCOL_VERSION" in reason:
        return OLD
    if "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        return REFUSES_CERTIFICATE if gives_certificate else ASKS_FOR_CERTIFICATE
    if reason.endswith("ALERT_HANDSHAKE_FAILURE") and not gives_certificate:
        return NO_AGREEMENT  # before TLS 1.3, this is also the answer of a server that asks for a certificate
    return f"{OTHER}: {reason}"


class _RefusedError(Exception):
    """The server does not agree to TLS, or its certificate has another name."""

    def __init__(self, cause: str) -> None:
        self.cause = cause


def _context(query: dict[str, str]) -> ssl.SSLContext:
    """Return what libpq demands of the server's certificate, except of its name, and what it shows of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    if query["sslmode"] == "require" or "sslrootcert" not in query:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(query["sslrootcert"])
    if "sslcert" in query:
        try:
            # With a password, OpenSSL asks nobody at the terminal for one.
            context.load_cert_chain(query["sslcert"], query.get("sslkey"), query.get("sslpassword", ""))
        except OSError:
            raise _RefusedError(BAD_PAIR) from None
    return context


def _handshake(address: tuple[str, int], context: ssl.SSLContext, ends_at: float, last: bool) -> dict[str, Any]:
    with _connection(address, ends_at) as connection:
        connection.settimeout(max(0.01, ends_at - time.monotonic()))
        connection.sendall(_SSL_REQUEST)
        answer = connection.recv(1)
        if answer == b"N":
            raise _RefusedError(NO_TLS)
        if answer == b"E":
            raise _RefusedError(NOT_NOW)
        if not answer:
            raise ConnectionResetError
        if answer != b"S":
            raise _RefusedError(NOT_POSTGRES)
        connection.settimeout(max(0.01, ends_at - time.monotonic()))
        with context.wrap_socket(connection, server_hostname=address[0]) as wrapped:
            certificate = dict(wrapped.getpeercert() or {})
            if last:
                _await_refusal(wrapped)
            return certificate


def _await_refusal(wrapped: ssl.SSLSocket) -> None:
    """Raise the refusal of a server that misses a client certificate. In TLS 1.3 it comes after the handshake."""
    try:
        wrapped.sendall(_CANCEL_NOTHING)
        wrapped.recv(1)
    except OSError as error:
        if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
            raise


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
