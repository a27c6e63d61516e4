"""Certificates of a server for tests: each is right but for one fault."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAYS = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The private key."""
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def issue(
    by: Issued | None,
    common_name: str,
    names: tuple[str, ...] = (),
    *,
    authority: bool = False,
    valid: tuple[int, int] = (-2, 90),
) -> Issued:
    """Issue a certificate. Without ``by`` it signs itself. ``valid`` counts days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    now, subject = (
        datetime.datetime.now(datetime.UTC),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]),
    )
    signer = by.key if by else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + valid[0] * DAYS)
        .not_valid_after(now + valid[1] * DAYS)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
    return Issued(builder.sign(signer, hashes.SHA256()), key)


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@cache
def authority(name: str = "Test Root") -> Issued:
    """The root that the clients of the tests know, or another."""
    return issue(None, name, authority=True)


def server(folder: Path, leaf: Issued, *chain: Issued) -> ssl.SSLContext:
    """The TLS of a server with this certificate."""
    file = folder / "server.pem"
    file.write_text(leaf.key_pem + "".join(one.pem for one in (leaf, *chain)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def asking(context: ssl.SSLContext, newest: ssl.TLSVersion) -> ssl.SSLContext:
    """Let a server refuse each client that has no certificate of the authority."""
    context.load_verify_locations(cadata=authority().pem)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, newest
    return context
