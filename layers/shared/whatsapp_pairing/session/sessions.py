"""The session, as the user sees it."""

from uuid import UUID

from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import end_reason
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.runtime.repository import Repository
from whatsapp_pairing.session.session import Session, ShownAttempt, Status

_GET = "SELECT * FROM whatsapp_private.session_v1(%(user)s)"


class Sessions(Repository):
    """Sessions as their users see them."""

    def get(self, user_id: UUID) -> Session:
        """Return the session of a user whose identity was verified. May raise ``DatabaseUnavailable``."""
        row = self._one(_GET, user=user_id)
        assert row is not None
        attempt = ShownAttempt(row["attempt_id"], row["attempt_number"], row["started_at"], row["deadline"])
        return Session(
            status=Status(row["status"]),
            read_at=row["read_at"],
            qr=row["qr_code"],
            qr_expires_at=row["qr_expires_at"],
            attempt=attempt if row["attempt_id"] else None,
            phone_number=row["phone_number"],
            connected_at=row["connected_at"],
            last_seen=row["last_seen"],
            messages_sent=row["messages_sent"],
            messages_received=row["messages_received"],
            reason=self._reason_to_end(row["unended"]) if row["unended"] else Reason.parse(row["reason"]),
            notice=Notice.parse(row["notice"]),
        )

    def _reason_to_end(self, attempt_id: UUID) -> Reason | None:
        """Return the reason that the next click or cleanup will record as the attempt's end."""
        attempt = Attempts(self._database).get(attempt_id)
        return end_reason(attempt) if attempt else None
