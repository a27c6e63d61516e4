"""The calls of a linker about its attempt.

Each names the lease, so a linker that has lost its lease changes nothing.
"""

from dataclasses import dataclass
from uuid import UUID

from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.pairing.attempt import AFTER_SCAN_SECONDS, Attempt
from whatsapp_pairing.pairing.attempts import attempt_from
from whatsapp_pairing.runtime.lease import LEASE_SECONDS
from whatsapp_pairing.runtime.repository import Repository

_TAKE = "SELECT * FROM whatsapp_private.take_v1(%(id)s, %(lease)s, %(seconds)s)"
_RENEW = "SELECT * FROM whatsapp_private.renew_v1(%(id)s, %(lease)s, %(seconds)s, %(reachable)s, %(ended)s)"
_SHOW_QR = """
SELECT * FROM whatsapp_private.show_qr_v1(
  %(id)s, %(lease)s, %(seconds)s, %(qr)s, %(qr_seconds)s, %(fingerprint)s, %(notice)s
)
"""
_SCANNED = "SELECT * FROM whatsapp_private.scanned_v1(%(id)s, %(lease)s, %(jid)s, %(seconds)s)"
_REFUSE = "SELECT * FROM whatsapp_private.refuse_v1(%(id)s, %(lease)s, %(refusals)s, %(jid)s)"
_CONNECTED = "SELECT (c.attempt).*, c.given_up FROM whatsapp_private.connected_v1(%(id)s, %(lease)s, %(jid)s) AS c"
_RELEASE = "SELECT * FROM whatsapp_private.release_v1(%(id)s, %(lease)s, %(verdict)s, %(failed)s)"
_LET_GO = "SELECT whatsapp_private.let_go_v1(%(id)s, %(lease)s) AS devices"


@dataclass(frozen=True)
class Connected:
    """An attempt that has ended well, and its given-up devices that have keys. The caller starts their unlinks."""

    attempt: Attempt
    given_up: list[UUID]


class Leases(Repository):
    """An attempt as its linker changes it.

    If the lease is lost, a method that returns an attempt returns None. Every method may raise ``DatabaseUnavailable``.
    """

    def take(self, attempt_id: UUID, lease: UUID) -> Attempt | None:
        """Take the lease of an attempt and its devices; None when it has a linker or a verdict, or has ended."""
        return attempt_from(self._one(_TAKE, id=attempt_id, lease=lease, seconds=LEASE_SECONDS))

    def renew(
        self, attempt_id: UUID, lease: UUID, reachable: bool = True, ended: bytes | None = None
    ) -> Attempt | None:
        """Renew the lease of the attempt and its devices. If this returns None, end the engine at once.

        Parameters
        ----------
        reachable : bool
            Whether WhatsApp answered when it was last tried.
        ended : bytes or None
            Fingerprint of a device whose engine has ended, so that nobody can scan its QR; None: no engine has ended.
        """
        row = self._one(_RENEW, id=attempt_id, lease=lease, seconds=LEASE_SECONDS, reachable=reachable, ended=ended)
        return attempt_from(row)

    def show_qr(
        self,
        attempt_id: UUID,
        lease: UUID,
        qr: str,
        seconds: float,
        fingerprint: bytes,
        notice: Notice | None = None,
    ) -> Attempt | None:
        """Show a QR that lives for ``seconds``, and bind its device to the user before anybody can scan it.

        Without a ``notice``, the attempt keeps the notice that it has.
        """
        row = self._one(
            _SHOW_QR,
            id=attempt_id,
            lease=lease,
            seconds=LEASE_SECONDS,
            qr=qr,
            qr_seconds=seconds,
            fingerprint=fingerprint,
            notice=notice,
        )
        return attempt_from(row)

    def scanned(self, attempt_id: UUID, lease: UUID, jid: str) -> Attempt | None:
        """Note a scan, and clear the QR. The first scan moves the deadline (``AFTER_SCAN_SECONDS``)."""
        return attempt_from(self._one(_SCANNED, id=attempt_id, lease=lease, jid=jid, seconds=AFTER_SCAN_SECONDS))

    def refuse(self, attempt_id: UUID, lease: UUID, refusals: int, jid: str | None) -> Attempt | None:
        """Record a refusal, so that another QR may follow. Call it after the engine has ended.

        Parameters
        ----------
        refusals : int
            How many refusals the attempt had before this one. By this number, Postgres recognises a repeated call.
        jid : str or None
            The device that WhatsApp does not know any more; None when whatsmeow has not stored the refused device.
        """
        return attempt_from(self._one(_REFUSE, id=attempt_id, lease=lease, refusals=refusals, jid=jid))

    def connected(self, attempt_id: UUID, lease: UUID, jid: str) -> Connected | None:
        """End the attempt well; None when the lease is lost, or no device has been scanned under this JID."""
        row = self._one(_CONNECTED, id=attempt_id, lease=lease, jid=jid)
        if row is None:
            return None
        given_up = row.pop("given_up")
        attempt = attempt_from(row)
        assert attempt is not None
        return Connected(attempt, given_up)

    def release(self, attempt_id: UUID, lease: UUID, verdict: Reason | None) -> Attempt | None:
        """Release the attempt and its devices, and store the verdict (None: another linker may try)."""
        failed = verdict is not None and not verdict.by_choice
        return attempt_from(self._one(_RELEASE, id=attempt_id, lease=lease, verdict=verdict, failed=failed))

    def let_go(self, attempt_id: UUID, lease: UUID) -> list[UUID]:
        """Let go of the attempt's devices after its lease was lost. Return the given-up devices that have keys."""
        row = self._one(_LET_GO, id=attempt_id, lease=lease)
        assert row is not None
        devices: list[UUID] = row["devices"]
        return devices
