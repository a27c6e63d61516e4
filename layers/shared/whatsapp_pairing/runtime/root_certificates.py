"""Checks the root certificates that an operator gives, and keeps those of a secret in a file.

Both drivers read roots only from a file. libpq takes only an authority's certificate as root, and Go's driver takes any
and skips what it cannot read. So a file is checked here, before either driver reads it.
"""

import base64
import hashlib
import os
import re
import ssl
import tempfile
from functools import cache

from whatsapp_pairing.core.errors import MisconfiguredError

OF_THE_MACHINE = "system"
"""The root in a URL or in a secret that stands for the authorities that this machine trusts."""

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_KEY = "PRIVATE KEY-----"
# Amazon Linux (Lambda), Debian, SUSE, Alpine and macOS.
_OF_MACHINES = (
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def file_of_this_machine() -> str:
    """Return the file with the authorities that this machine trusts, which the root ``system`` means.

    Raises
    ------
    MisconfiguredError
        There is no such file.
    """
    found = _of_this_machine()
    if found is None:
        raise MisconfiguredError("The root of the database's server is system, and this machine has no authorities.")
    return found


def _of_this_machine() -> str | None:
    named = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return next((path for path in (named, *_OF_MACHINES) if path and os.path.isfile(path)), None)


def check_file(path: str) -> None:
    """Check that a file holds certificates of authorities only.

    Raises
    ------
    MisconfiguredError
        It is missing or holds something else. The message does not name the file.
    """
    if path == _of_this_machine():
        return  # it may hold authorities that others have signed, beside the roots
    try:
        with open(path, "rb") as file:
            text = file.read().decode("latin-1")
    except FileNotFoundError:
        raise _wrong("is not there") from None
    except (OSError, ValueError) as error:
        raise _wrong(f"cannot be read ({type(error).__name__})") from None
    problem = _problem(text)
    if problem:
        raise _wrong(problem)


def _wrong(problem: str) -> MisconfiguredError:
    return MisconfiguredError(f"The file that sslrootcert in the database's URL names {problem}.")


def file_with(text: object, secret: str) -> str:
    """Return the path of a private file with the certificates that a secret holds under ``ca``; or ``system``.

    The file is written once in each process. It appears as a whole under its name, so no thread reads half of it. It is
    written again if it is gone, as in an instance that was restored from a snapshot.

    Parameters
    ----------
    text : object
        The value of ``ca``: PEM, or ``system`` for the authorities that the machine trusts. A console may have turned
        the line breaks of PEM into spaces or into ``\\n``.
    secret : str
        The secret's name, for the message.

    Raises
    ------
    MisconfiguredError
        The text holds no certificate of an authority, or the file cannot be written.
    """
    if not isinstance(text, str):
        raise MisconfiguredError(f'The key "ca" of the secret {secret} is not a text: give one in PEM.')
    if text.strip() == OF_THE_MACHINE:
        return OF_THE_MACHINE
    problem, certificates = _read(text)
    if problem:
        raise MisconfiguredError(f'The key "ca" of the secret {secret} {problem}.')
    try:
        path = _written(certificates)
        if not os.path.exists(path):
            _written.cache_clear()
            path = _written(certificates)
    except OSError as error:
        raise MisconfiguredError(
            f'The key "ca" of the secret {secret} cannot be written to a file ({type(error).__name__}).'
        ) from None
    return path


@cache
def _read(text: str) -> tuple[str | None, str]:
    """Return what is wrong with a text, and its certificates in the form that every reader takes."""
    bare = text.replace("\\n", "\n").replace("\\r", "")
    try:
        found = [base64.b64decode("".join(block.split()), validate=True) for block in _BLOCK.findall(bare)]
    except ValueError:
        found = []
    if len(found) != bare.count("-----BEGIN CERTIFICATE-----"):
        return "holds a certificate that cannot be read", ""
    certificates = "".join(ssl.DER_cert_to_PEM_cert(one) for one in found)
    return _problem(bare if _KEY in bare or not found else certificates), certificates


def _problem(text: str) -> str | None:
    if not text.strip():
        return "is empty"
    if _KEY in text:
        return "holds a private key: give the certificate of the authority only"
    if "-----BEGIN CERTIFICATE-----" not in text:
        return "holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=text.encode("ascii", "replace").decode())
    except (ssl.SSLError, ValueError):
        return "holds a certificate that cannot be read"
    return _problem_as_roots(context)


def _problem_as_roots(context: ssl.SSLContext) -> str | None:
    kinds = context.cert_store_stats()
    if kinds["x509"] != kinds["x509_ca"]:
        return "holds a certificate that is no authority's (CA:TRUE): give the root that has signed the server's"
    authorities = context.get_ca_certs()
    if {one["issuer"] for one in authorities} - {one["subject"] for one in authorities}:
        # libpq refuses such an authority as root, and Go's driver takes it.
        return "holds an authority's certificate without the one that has signed it: give the root, too"
    return None


@cache
def _written(certificates: str) -> str:
    name = f"whatsapp-pairing-ca-{hashlib.sha256(certificates.encode()).hexdigest()[:32]}.pem"
    path = os.path.join(tempfile.gettempdir(), name)
    descriptor, unfinished = tempfile.mkstemp(prefix=name)  # only this user can read it
    try:
        with open(descriptor, "w") as file:
            file.write(certificates)
        os.replace(unfinished, path)
    except OSError:
        os.unlink(unfinished)
        raise
    return path
