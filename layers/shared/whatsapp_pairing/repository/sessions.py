"""What the user sees, read as the user."""

import json
from uuid import UUID

from whatsapp_pairing.database import Connection, Row, act_as
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.repository.attempts import LAST_ATTEMPT
from whatsapp_pairing.repository.rows import Table, attempt_from
from whatsapp_pairing.session import Session, Status

# One row also where the user has none. The row is its owner's to edit: a time that Python cannot hold, or a QR that
# cannot be drawn, is none.
SESSION = """
SELECT clock_timestamp() AS read_at, s.session_status, s.phone_number, s.messages_sent, s.messages_received,
       CASE WHEN octet_length(s.qr_code) <= 1024 THEN s.qr_code END AS qr_code,
       CASE WHEN s.connected_at BETWEEN 'epoch' AND '9999-01-01+00' THEN s.connected_at END AS connected_at,
       CASE WHEN s.last_seen BETWEEN 'epoch' AND '9999-01-01+00' THEN s.last_seen END AS last_seen
FROM (SELECT) AS reading LEFT JOIN public.whatsapp_sessions s ON s.user_id = %(user)s
"""


# What the row says while an attempt lives.
_PAIRING = (Status.CONNECTING, Status.WAITING_QR)


class Sessions(Table):
    """The user's row, and what the last attempt adds to it."""

    def get(self, user_id: UUID) -> Session:
        """Return the session of a user whose identity was verified.

        The row is read as Supabase's ``authenticated`` role with the user's claims: row level security holds,
        whatever this code asks for.
        """
        claims = json.dumps({"sub": str(user_id), "role": "authenticated"})

        def read(connection: Connection) -> Session:
            attempt = connection.execute(LAST_ATTEMPT, {"user": user_id})
            act_as(connection, claims)
            shown = connection.execute(SESSION, {"user": user_id})
            row = shown.fetchone()
            assert row is not None
            return _session(row, attempt.fetchone())

        return self._database.read(read)


def _session(shown: Row, last: Row | None) -> Session:
    attempt = attempt_from(last)
    reason = Reason.parse(attempt.outcome) if attempt else None
    read_at = shown["read_at"]
    live = attempt is not None and attempt.outcome is None
    if live and shown["session_status"] not in _PAIRING:
        # The row is its owner's to edit or delete, and a disconnect that came in the same moment as the click has not
        # seen its attempt. A pairing that runs writes the row anew with its next step.
        return Session(Status.CONNECTING, read_at, attempt=attempt)
    if shown["session_status"] is None:
        return Session(Status.DISCONNECTED, read_at, reason=reason)
    status = Status(shown["session_status"])
    # WhatsApp drops a QR with the socket of the linker that showed it.
    showing = status is Status.WAITING_QR and last and last["qr_fresh"] and last["alive"]
    qr = shown["qr_code"] if showing else None
    if status is Status.WAITING_QR and qr is None and not (attempt and attempt.scanned):
        # A new linker has not shown the next one yet.
        status = Status.CONNECTING
    linked = status is Status.CONNECTED
    return Session(
        status=status,
        read_at=read_at,
        qr=qr,
        qr_expires_at=last["qr_expires_at"] if last and qr else None,
        attempt=attempt if live or status is Status.ERROR else None,
        phone_number=shown["phone_number"] if linked else None,
        connected_at=shown["connected_at"] if linked else None,
        last_seen=shown["last_seen"],
        messages_sent=shown["messages_sent"],
        messages_received=shown["messages_received"],
        reason=reason if status in (Status.ERROR, Status.DISCONNECTED) else None,
    )
