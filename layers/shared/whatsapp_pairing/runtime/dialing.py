"""Connects to Postgres, and tells apart a full server, a refused login and every other failure.

psycopg's error for a failed connection has no SQLSTATE, because libpq gives none while it connects. A verbose libpq
writes the SQLSTATE into its message. The words around the SQLSTATE may be in any language.
"""

import ctypes
import os
import re
import sys

from psycopg import OperationalError, pq
from psycopg.abc import PQGenConn
from psycopg.errors import InvalidPassword, TooManyConnections
from psycopg.pq import ConnStatus, PollingStatus
from psycopg.pq.abc import PGconn
from psycopg.waiting import Wait

from whatsapp_pairing.core.errors import DatabaseUnavailable, MisconfiguredError, PairingError
from whatsapp_pairing.runtime import limits
from whatsapp_pairing.runtime.refusals import asks_for_certificate, is_refused_login

# psycopg does not offer PQsetErrorVerbosity, so ctypes calls it. The function must come from the libpq that makes the
# connection. psycopg's extension module is linked with this libpq.
_set_error_verbosity = ctypes.CDLL(sys.modules[pq.PGconn.__module__].__file__).PQsetErrorVerbosity
_set_error_verbosity.argtypes = (ctypes.c_void_p, ctypes.c_int)
_DEFAULT, _VERBOSE = 1, 2  # of libpq's PGVerbosity

_OF_THE_PASSWORD = ("PGPASSWORD", "PGPASSFILE")

# libpq writes the severity (translated), the SQLSTATE and the server's message.
_REFUSAL = re.compile(r":  (?P<sqlstate>[0-9A-Z]{5}): (?P<said>.*)", re.DOTALL)

# PgBouncer (08P01) and Supavisor (XX000) give one code to nearly all their errors, also to a wrong password.
_POOLERS = ("08P01", "XX000")
_SAID_BY_POOLERS = (
    "max_client_conn",  # PgBouncer's setting
    "max_db_client_connections",
    "max_user_client_connections",
    "(EMAX",  # Supavisor's own codes: EMAXCONN, EMAXCONNSESSION and others
    "MaxClientsInSessionMode",  # older Supavisor, which had no codes
    "Max client connections reached",
    # PgBouncer before 1.20 passes on the message of Postgres without its code.
    "too many connections for",
    "too many clients already",
    "connection slots are reserved",
)


def is_full(sqlstate: str | None, said: str | None) -> bool:
    """Return whether a server or a pooler refuses a connection because too many are in use.

    Parameters
    ----------
    sqlstate : str or None
        The code of the error. It decides, unless it is a code that poolers use for nearly every error.
    said : str or None
        The message. With such a code, it must hold a phrase that the pooler uses for this case.
    """
    if sqlstate in _POOLERS:
        return any(words in (said or "") for words in _SAID_BY_POOLERS)
    return sqlstate == TooManyConnections.sqlstate


def forget_variables() -> None:
    """Remove libpq's variables (``PGHOSTADDR``, ``PGSSLNEGOTIATION``, …) from this process, but not the password's.

    The engine's driver does not get them. So without this, psycopg might go to another server than the engine, or use
    TLS in another way than the URL says.
    """
    for option in pq.Conninfo.get_defaults():
        name = (option.envvar or b"").decode()
        if name not in _OF_THE_PASSWORD:
            os.environ.pop(name, None)


def dial(conninfo: str) -> PQGenConn[PGconn]:
    """Connect as psycopg's own generator does.

    Raises
    ------
    TooManyConnections
        Too many connections are in use. psycopg itself raises a bare OperationalError.
    InvalidPassword
        The login is refused, for whatever reason.
    OperationalError
        The connection fails for another reason.
    """
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    _set_verbosity(pgconn, _VERBOSE)
    while pgconn.status not in (ConnStatus.OK, ConnStatus.BAD):
        status = pgconn.connect_poll()
        if status in (PollingStatus.READING, PollingStatus.WRITING):
            while not (yield pgconn.socket, Wait.R if status == PollingStatus.READING else Wait.W):
                pass
    if pgconn.status == ConnStatus.BAD:
        raise _failed(pgconn)
    _set_verbosity(pgconn, _DEFAULT)
    pgconn.nonblocking = 1
    return pgconn


def why_unconnected(url: str, error: OperationalError) -> PairingError | None:
    """Return the error that names TLS as the cause; None if the cause is another, or if the server itself has refused.

    A server that misses a client certificate may refuse by TLS or by itself. Both give the same error.

    It looks at the server once more (``tls_faults``), because libpq's message does not tell the causes apart.
    """
    refusal = _REFUSAL.search(str(error))
    if refusal and not asks_for_certificate(refusal["said"]):
        return None
    from whatsapp_pairing.runtime import tls_faults  # imported here: a good connection needs no ssl

    if refusal:
        return MisconfiguredError(f"{tls_faults.TlsFault(tls_faults.ASKS_FOR_CERTIFICATE).why}.")
    try:
        fault = limits.in_time(lambda: tls_faults.tls_fault(url), tls_faults.SECONDS)
    except limits.OutOfTimeError:
        return None
    if fault is None:
        return None
    return DatabaseUnavailable(detail=f"{fault.why}.") if fault.passes else MisconfiguredError(f"{fault.why}.")


def _set_verbosity(pgconn: PGconn, verbosity: int) -> None:
    _set_error_verbosity(pgconn.pgconn_ptr, verbosity)  # type: ignore[attr-defined]


def _failed(pgconn: PGconn) -> OperationalError:
    message = pgconn.get_error_message()
    pgconn.finish()
    refusal = _REFUSAL.search(message)
    sqlstate, said = (refusal["sqlstate"], refusal["said"]) if refusal else (None, message)
    kind = OperationalError
    if is_full(sqlstate, said):
        kind = TooManyConnections
    elif is_refused_login(sqlstate, said):
        kind = InvalidPassword
    return kind(f"connection failed: {message}")
