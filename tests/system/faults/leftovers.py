"""What must not be left behind after a pairing, however it ended."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg

from tests.support.secret_search import Secrets, executions, logs
from tests.system.faults.disturbed_system import DisturbedSystem

WITHIN_SECONDS = 15.0

_LIVE_ATTEMPTS = "SELECT number FROM whatsapp_private.attempts WHERE ended_at IS NULL"

_LIVE_LEASES = """
SELECT id FROM whatsapp_private.attempts WHERE lease_expires_at > now()
UNION ALL SELECT id FROM whatsapp_private.devices WHERE lease_expires_at > now()
"""

# Keys may be stored only for a linked device whose user is connected. A device without keys does not matter here:
# cleanup forgets it later.
_STRAY_KEYS = """
SELECT e.jid, d.state FROM whatsapp_engine.whatsmeow_device e
LEFT JOIN whatsapp_private.devices d ON d.fingerprint = sha256(e.adv_key)
LEFT JOIN public.whatsapp_sessions s ON s.user_id = d.user_id AND s.session_status = 'connected'
WHERE d.state IS DISTINCT FROM 'linked' OR s.id IS NULL
"""

_LINKED_WITHOUT_KEYS = """
SELECT d.jid FROM whatsapp_private.devices d WHERE d.state IN ('linking', 'linked')
AND NOT EXISTS (SELECT FROM whatsapp_engine.whatsmeow_device e WHERE sha256(e.adv_key) = d.fingerprint)
"""

_QR_TEXTS = "SELECT id FROM public.whatsapp_sessions WHERE qr_code IS NOT NULL OR session_status = 'waiting_qr'"

_BEHIND = "SELECT version, shown_version FROM whatsapp_private.sessions WHERE behind"

# Session rows that differ from their sessions.
_WRONG_ROWS = """
SELECT r.session_status, s.status FROM public.whatsapp_sessions r, whatsapp_private.session_v1(r.user_id) s
WHERE (r.session_status, r.phone_number) IS DISTINCT FROM (s.status, s.phone_number)
"""

_ENGINE_TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = 'whatsapp_engine' AND tablename <> 'whatsmeow_version'
"""

_LINKED = "SELECT d.id FROM whatsapp_private.devices d WHERE d.state = 'linked'"


def left_behind(system: DisturbedSystem) -> list[str]:
    """Wait for up to 15 seconds until nothing is left behind, and return a line about each thing that is."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            found = list(_look(system))
        except psycopg.OperationalError as error:
            found = [f"the database does not answer: {error}"]
        if not found or time.monotonic() >= deadline:
            return found
        time.sleep(0.1)


def secrets_written(system: DisturbedSystem) -> list[str]:
    """Return the places where a secret was written: logs and execution histories."""
    return Secrets().told(logs(system.stack) | executions(system.stack))


def note_orphans(system: DisturbedSystem) -> None:
    """Remember the devices that earlier cases left on the phones. They do not count against the next case."""
    system.known_orphans = system.sandbox.state()["devices"] - len(system.query(_LINKED))


def _look(system: DisturbedSystem) -> Iterator[str]:
    state = system.sandbox.state()
    for socket in state["sockets"]:
        yield f"socket in {socket['state']}"
    for one in system.busy():
        yield f"busy {one['name']}"
    for execution in system.running_executions():
        yield f"running execution {execution['name']}"
    for what, statement in (
        ("live attempt", _LIVE_ATTEMPTS),
        ("live lease", _LIVE_LEASES),
        ("keys of no session", _STRAY_KEYS),
        ("binding without its keys", _LINKED_WITHOUT_KEYS),
        ("QR in a row", _QR_TEXTS),
        ("row behind", _BEHIND),
        ("row unlike its session", _WRONG_ROWS),
    ):
        for row in system.query(statement):
            yield f"{what} {row}"
    linked = len(system.query(_LINKED))
    if state["devices"] != linked + system.known_orphans:
        yield f"the phones list {state['devices'] - system.known_orphans} devices, the database {linked}"
    if not linked:
        for (table,) in (row.values() for row in system.query(_ENGINE_TABLES)):
            if system.query(f"SELECT FROM whatsapp_engine.{table} LIMIT 1"):
                yield f"rows in {table}"
