"""A user's session, as the database answers it. Pure: no clock, no I/O."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.core.reasons import Reason


class Status(StrEnum):
    """The five values of ``whatsapp_sessions.session_status``."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    WAITING_QR = "waiting_qr"
    CONNECTED = "connected"
    ERROR = "error"


@dataclass(frozen=True)
class ShownAttempt:
    """What a user sees of an attempt."""

    id: UUID
    number: int
    started_at: datetime
    deadline: datetime


@dataclass(frozen=True)
class Session:
    """What a user sees of their WhatsApp. The API's status answers it as JSON.

    ``read_at`` is the moment of the reading. All times are timezone-aware and by the database's clock. ``qr`` is the
    text that the phone scans. The log may hold neither this text nor the phone number.
    """

    status: Status
    read_at: datetime = field(compare=False)
    qr: str | None = field(default=None, repr=False)
    qr_expires_at: datetime | None = None
    attempt: ShownAttempt | None = None
    phone_number: str | None = field(default=None, repr=False)
    connected_at: datetime | None = None
    last_seen: datetime | None = None
    messages_sent: int = 0
    messages_received: int = 0
    reason: Reason | None = None
    notice: Notice | None = None

    @property
    def poll_after_ms(self) -> int:
        """After how many milliseconds the client should ask again."""
        if self.status is Status.CONNECTING or (self.status is Status.WAITING_QR and not self.qr):
            return 400
        return {Status.WAITING_QR: 1000, Status.CONNECTED: 30_000}.get(self.status, 15_000)
