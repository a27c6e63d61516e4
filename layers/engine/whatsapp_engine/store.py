"""Recognises faults of the engine's database in whatsmeow's texts, and describes them in words that hold no value.

whatsmeow, Go's driver and Postgres put names, addresses and values into their texts. So our words hold only what fixed
patterns find: the SQLSTATE, the names of whatsmeow's own tables, and whatsmeow's name of the step.
"""

import re
from dataclasses import dataclass

from whatsapp_pairing.runtime import tls_faults
from whatsapp_pairing.runtime.refusals import asks_for_certificate, is_refused_login
from whatsapp_pairing.runtime.tls_faults import TlsFault

# The first words of whatsmeow's errors when it cannot reach WhatsApp. It dials after it has opened the database.
_WHATSAPP = ("failed to dial whatsapp web websocket", "noise handshake failed", "websocket is already connected")
_SQLSTATE = re.compile(r"\(([0-9A-Z]{5})\)\s*\Z")
_OBJECT = re.compile(r"\bwhatsmeow_[a-z_]+|\bschema whatsapp_engine\b")
_STEP = re.compile(r"failed to [a-z ]+?(?: v\d+->v\d+)?(?=: )")
_NEWER = re.compile(r"unsupported database schema version: currently on v(\d+) .*latest known: v(\d+)", re.DOTALL)

# Words of whatsmeow's log lines about its database. When the connection has failed, such a line has no SQLSTATE.
_STORE_CALL = re.compile(r"in database|from DB|save device|to store|prekeys (?:to upload|as uploaded)|LID-PN mapping")

# SQLSTATEs of faults that may pass in a moment: no connection, no room, a restart or a time limit, a lock, a failover.
_PASSING = re.compile(r"08|40|53|57|55P03|25006|XX")

_WORDS = {
    "08": "the connection was lost",
    "25006": "the database is read-only",
    "28": "the role, its password or its address is refused",
    "3D000": "there is no such database",
    "3F000": "the schema whatsapp_engine is missing, or the role may not use it",
    "40": "another transaction was in the way",
    "42501": "the role lacks a right",
    "42809": "something else has the name of a table",
    "42P01": "a table is missing, or its schema is closed to the role",
    "42P07": "a table of that name is there already; another role or program has made it",
    "53": "the server has no room, or too many connections",
    "55000": "the object does not allow it; a publication for all tables asks for a replica identity",
    "55P03": "another session holds a lock",
    "57014": "it took longer than statement_timeout",
    "57P": "the server is shutting down or starting",
}
# Texts of Go and its driver about TLS, which have no SQLSTATE. The first that fits counts.
_TLS = (
    # Go takes every answer but "S" for a server without TLS. A second handshake tells them apart.
    (tls_faults.NOT_NOW, r"SSL is not enabled on the server"),
    (tls_faults.NOT_YET, r"expired or is not yet valid.* is before "),
    (tls_faults.EXPIRED, r"expired or is not yet valid"),
    (tls_faults.NO_ADDRESS, r"any IP SANs|certificate is valid for .*, not (?:[0-9.]+|[0-9a-f:]*:[0-9a-f:.]*)\Z"),
    (tls_faults.ONLY_COMMON_NAME, r"legacy Common Name"),
    (tls_faults.WRONG_NAME, r"certificate is (?:valid for|not valid for any names)"),
    (tls_faults.UNKNOWN, r"signed by unknown authority"),
    (tls_faults.OLD, r"unsupported protocol version|protocol version not supported"),
    ("a file of certificates or keys cannot be read", r"parse pem|\bopen /|no such file"),
    (tls_faults.REFUSED, r"x509: "),
    (tls_faults.OTHER, r"tls: "),
)
_OPTIONS = (
    "the pooler refuses the engine's options with search_path: add options and search_path to PgBouncer's "
    "ignore_startup_parameters, or give the URL of the database itself"
)
# Other texts without a SQLSTATE.
_UNREACHABLE = (
    "connection refused", "no such host", "i/o timeout", "connection reset", "no route to host",
    "network is unreachable", "EOF", "bad connection", "broken pipe", "context deadline exceeded",
)  # fmt: skip


@dataclass(frozen=True)
class StoreFault:
    """A fault of the engine's database. ``why`` may be logged; ``passes`` tells whether another try may help.

    ``in_handshake`` tells whether TLS may be the cause. Then a second handshake tells more (``tls_faults``).
    """

    why: str
    passes: bool
    login_refused: bool = False
    in_handshake: bool = False


def store_fault(text: str) -> StoreFault | None:
    """Return the fault of the engine's database in a text of whatsmeow; None when WhatsApp could not be reached.

    Examples
    --------
    >>> store_fault("failed to save device store: pq: permission denied for table whatsmeow_device (42501)")
    StoreFault(why='Postgres refuses it with SQLSTATE 42501 (the role lacks a right): whatsmeow_device, failed to \
save device store', passes=False, login_refused=False, in_handshake=False)
    """
    if text.startswith(_WHATSAPP):
        return None
    before, driver, _ = text.partition("pq: ")
    state = _SQLSTATE.search(text) if driver else None
    if driver and (fault := _fault_before_login(text)):
        return fault
    if is_refused_login(state and state[1], text):
        # Each try with the same password counts at the server, so another try does not help.
        why = _describe(state[1] if state else "28P01", "28", before, text)
        return StoreFault(why, passes=False, login_refused=True)
    if state:
        return StoreFault(_describe(state[1], state[1], before, text), _PASSING.match(state[1]) is not None)
    if newer := _NEWER.search(text):
        return StoreFault(
            f"the tables are of version {newer[1]}, and this engine knows only {newer[2]}: run the newer release", False
        )
    return _other_fault(text) or StoreFault(
        "the engine cannot open its database, and gives a reason that this version does not know", True
    )


def logged_fault(text: str) -> StoreFault | None:
    """Return the fault of the engine's database in a line of whatsmeow's log; None for any other line.

    whatsmeow goes on with a login although its database has failed. The device may then have no prekeys: it looks
    connected, but nobody can write to it. Only faults of the whole database count. Errors about a single row do not.
    """
    if any(words in text for words in _WHATSAPP):
        return None
    state = _SQLSTATE.search(text) if "pq: " in text else None
    if state:
        known = any(state[1].startswith(known) for known in _WORDS) or is_refused_login(state[1], text)
        return store_fault(text) if known else None
    return _other_fault(text) if _STORE_CALL.search(text) else None


def _fault_before_login(text: str) -> StoreFault | None:
    if "unsupported startup parameter" in text:
        return StoreFault(_OPTIONS, False)
    if asks_for_certificate(text):
        return StoreFault(TlsFault(tls_faults.ASKS_FOR_CERTIFICATE).why, False)
    return None


def _other_fault(text: str) -> StoreFault | None:
    for cause, known in _TLS:
        if re.search(known, text, re.DOTALL):
            return StoreFault(TlsFault(cause).why, cause == tls_faults.NOT_NOW, in_handshake=True)
    for words in _UNREACHABLE:
        if words in text:
            return StoreFault(f"Postgres cannot be reached: {words}", True, in_handshake="dial tcp" not in text)
    return None


def _describe(state: str, meant: str, before: str, text: str) -> str:
    words = next((words for known, words in _WORDS.items() if meant.startswith(known)), "")
    details = [*dict.fromkeys(_OBJECT.findall(text)), *_STEP.findall(before)]
    told = f" ({words})" if words else ""
    return f"Postgres refuses it with SQLSTATE {state}{told}" + (f": {', '.join(details)}" if details else "")
