"""Decides how a connection to Postgres uses TLS, so that psycopg (libpq) and the engine (Go's lib/pq) do the same.

The decision is written into the URL as ``sslmode`` and ``sslrootcert``. Then no driver falls back on its own default,
and the variables PGSSLMODE and PGSSLROOTCERT change nothing.

============================================  =========================================================
the URL                                       the connection
============================================  =========================================================
names no mode                                 ``verify-full``
names a mode                                  this mode; below ``verify-full``, the log has a warning
names no mode, and its host is this machine   ``prefer``, and without TLS through a socket's folder
names ``sslrootcert`` and no mode             ``verify-full``, also on this machine
names ``require`` and a root                  ``verify-ca``, as both drivers do in this case
names a root and a mode without a check       the root is dropped: libpq would connect without TLS if the check fails
============================================  =========================================================
"""

import os.path
import re
from collections.abc import Mapping
from functools import cache
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from whatsapp_pairing.core.errors import MisconfiguredError

SUPABASE_ROOTS = os.path.join(os.path.dirname(__file__), "supabase_roots.pem")
"""Supabase's two production roots. A connection whose URL and secret name no root is checked against them."""

MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_LOOPBACK = re.compile(r"localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[(?:::1|0:0:0:0:0:0:0:1)\]", re.IGNORECASE)
# The mode on this machine, unless the URL asks for TLS.
_AT_HOME = "prefer"
_FILES = ("sslcert", "sslkey", "sslcrl")
_WHAT_A_MODE_MISSES = {
    "disable": "so it is not encrypted",
    "allow": "so it may be unencrypted",
    "prefer": "so it may be unencrypted",
    "require": "so nobody checks that the server is the right one",
    "verify-ca": "so nobody checks the server's name",
}


def on_this_machine(host: str) -> bool:
    """Return whether a connection to this host does not leave the machine. ``/…`` is the folder of a socket."""
    return host.startswith("/") or _LOOPBACK.fullmatch(host) is not None


def settled(host: str, parameters: Mapping[str, str], root: str | None) -> dict[str, str]:
    """Return the parameters with the mode and the root that apply.

    Parameters
    ----------
    host : str
        As in the URL.
    parameters : mapping
        Those of the URL. An empty ``sslmode`` asks for TLS, but names no mode, as ``ssl=true`` does.
    root : str or None
        The file that beats Supabase's roots. Only one of ``root`` and the URL's ``sslrootcert`` may be there.

    Raises
    ------
    MisconfiguredError
        A file cannot be used as root, or another file is missing.
    """
    for name in _FILES:
        # libpq would go on without the file, and Go's driver would not.
        if name in parameters and not os.path.isfile(parameters[name]):
            raise MisconfiguredError(f"The file that {name} in the database's URL names is not there.")
    others = {name: value for name, value in parameters.items() if name not in ("sslmode", "sslrootcert")}
    mode, root = parameters.get("sslmode", ""), root or parameters.get("sslrootcert")
    if host.startswith("/"):
        mode = "disable"  # libpq never uses TLS through a socket's folder
    elif not mode and (root or not on_this_machine(host)):
        mode = "verify-full"
    elif not mode:
        mode = "require" if "sslmode" in parameters else _AT_HOME
    if mode == "require" and root:
        mode = "verify-ca"
    roots = {"sslrootcert": _usable(root or SUPABASE_ROOTS)} if mode.startswith("verify-") else {}
    return {**others, "sslmode": mode, **roots}


def _usable(root: str) -> str:
    if root == SUPABASE_ROOTS:
        return root
    from whatsapp_pairing.runtime import root_certificates  # imported here, because it loads ssl

    if root == root_certificates.OF_THE_MACHINE:  # psycopg's libpq does not find their file by itself
        return root_certificates.file_of_this_machine()
    root_certificates.check_file(root)
    return root


def weakness(url: str) -> str | None:
    """Return one sentence if a normalised URL names a mode below ``verify-full``; otherwise None.

    On this machine, ``prefer`` and a socket's ``disable`` are no such modes, because nobody has named them.
    """
    host, query = _read(url)
    mode = query.get("sslmode", "verify-full")
    if mode == "verify-full" or host.startswith("/") or (on_this_machine(host) and mode == _AT_HOME):
        return None
    return f"The database's URL names sslmode={mode} for the connection to Postgres, {_WHAT_A_MODE_MISSES[mode]}."


def in_full(url: str) -> str | None:
    """Return a normalised URL with the mode ``verify-full``; None if it leads to this machine and demands no TLS."""
    host, query = _read(url)
    if on_this_machine(host) and query.get("sslmode") in ("disable", "allow", "prefer"):
        return None
    strict = {"sslrootcert": SUPABASE_ROOTS, **query, "sslmode": "verify-full"}
    return f"{url.partition('?')[0]}?{urlencode(strict, quote_via=quote)}"


def _read(url: str) -> tuple[str, dict[str, str]]:
    """Return the host and the parameters of a normalised URL."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    host = query.get("host") or parts.hostname or ""
    return f"[{host}]" if ":" in host else host, query


def warn_of_weakness(url: str) -> None:
    """Log the weakness of a normalised URL, once in the life of the process."""
    told = weakness(url)
    if told:
        _warn(told)


@cache
def _warn(told: str) -> None:
    from whatsapp_pairing.runtime.observability import (
        logger,
    )  # imported here: infra reads URLs, and needs no Powertools

    logger.warning(told)
