"""The two chains of certificates: TLS for web.whatsapp.com, and WhatsApp's own in the Noise handshake."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.sandbox.files import write_atomically
from infra.sandbox.keys import KeyPair
from infra.sandbox.messages import CertChain, CertificateDetails, NoiseCertificate

HOST = "web.whatsapp.com"
_CA_DAYS = 3650
_LEAF_DAYS = 90
_DAY = 86_400


class TlsAuthority:
    """A certificate authority for tests, made on first use and kept in `directory`.

    Parameters
    ----------
    directory
        The folder of ca.pem and the private keys.
    """

    def __init__(self, directory: Path) -> None:
        self.ca_file = directory / "ca.pem"
        self._key_file = directory / "ca.key"
        self._leaf_file = directory / "leaf.pem"
        if not (self.ca_file.exists() and self._key_file.exists()):
            self._create()
        self._ca = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        key = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WhatsApp sandbox CA (not for real use)")])
        builder = _builder(name, name, key.public_key(), _CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        write_atomically(self._key_file, _private_pem(key))
        write_atomically(self.ca_file, _public_pem(builder.sign(key, hashes.SHA256())))

    def server_context(self) -> ssl.SSLContext:
        """Return a TLS context with a fresh certificate for WhatsApp's host name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        names = x509.SubjectAlternativeName([x509.DNSName(HOST), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = _builder(subject, self._ca.subject, key.public_key(), _LEAF_DAYS)
        builder = builder.add_extension(names, critical=False).add_extension(usage, critical=False)
        leaf = builder.sign(self._key, hashes.SHA256())
        # The ssl module reads certificates only from files.
        write_atomically(self._leaf_file, _private_pem(key) + _public_pem(leaf))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._leaf_file)
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _public_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def noise_chain(root: KeyPair, server_key: bytes) -> bytes:
    """Return the serialized chain root → intermediate → `server_key`, valid around now."""
    intermediate = KeyPair.generate()
    chain = CertChain()
    chain.intermediate.CopyFrom(_noise_certificate(root, 1, 0, intermediate.public))
    chain.leaf.CopyFrom(_noise_certificate(intermediate, 2, 1, server_key))
    return bytes(chain.SerializeToString())


def _noise_certificate(issuer: KeyPair, serial: int, issuer_serial: int, key: bytes) -> NoiseCertificate:
    now = int(time.time())
    details = CertificateDetails(
        serial=serial,
        issuer_serial=issuer_serial,
        key=key,
        not_before=now - _DAY,
        not_after=now + _LEAF_DAYS * _DAY,
    ).SerializeToString()
    return NoiseCertificate(details=details, signature=issuer.sign(details))
