"""Tries the default of TLS, which checks the server's certificate in full, before the functions use it."""

from __future__ import annotations

from whatsapp_pairing.runtime.tls import in_full
from whatsapp_pairing.runtime.tls_faults import tls_fault

from infra.migrate.connection import connected, readable
from infra.migrate.errors import NotReachable


def refusal_by_default(url: str) -> str | None:
    """Return why the server would be refused if the URL had no ``sslmode``.

    psycopg and the engine's driver differ in one case (a name only in CN). So both are tried: psycopg itself, and a
    handshake that is as strict as the engine's.

    Parameters
    ----------
    url
        A URL that `readable` has returned.

    Returns
    -------
    str or None
        None if both drivers accept the server, or if it is on this machine and the URL demands no TLS.
    """
    strict = in_full(url)
    if strict is None:
        return None
    strict = readable(strict)
    if fault := tls_fault(strict):
        return f"{fault.why}."
    if strict != url:
        try:
            with connected(strict):
                pass
        except NotReachable as problem:
            return str(problem)
    return None
