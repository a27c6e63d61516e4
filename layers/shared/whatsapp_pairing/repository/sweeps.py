"""What cleanup looks for, in batches: oldest first, never what somebody else has locked."""

from uuid import UUID

from whatsapp_pairing.repository.rows import ATTEMPT, Table, attempt_from
from whatsapp_pairing.session import OVERDUE_SECONDS, Attempt

_OVERDUE = f"""
SELECT {ATTEMPT} FROM whatsapp_private.attempts a
WHERE a.ended_at IS NULL AND a.deadline < now() - make_interval(secs => {OVERDUE_SECONDS})
ORDER BY a.deadline LIMIT %(limit)s
"""

_STUCK_ROWS = """
UPDATE public.whatsapp_sessions SET session_status = 'disconnected', qr_code = NULL
WHERE id IN (
  SELECT s.id FROM public.whatsapp_sessions s
  WHERE s.session_status IN ('connecting', 'waiting_qr') AND s.updated_at < now() - interval '5 minutes'
    AND NOT EXISTS (
      SELECT FROM whatsapp_private.attempts a WHERE a.user_id = s.user_id AND a.ended_at IS NULL
    )
  ORDER BY s.updated_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING id
"""

# Their users were deleted: nobody is left to disconnect them.
_ORPHANS = """
UPDATE whatsapp_private.devices SET state = 'unlinking', updated_at = now() - interval '1 hour'
WHERE id IN (
  SELECT d.id FROM whatsapp_private.devices d
  WHERE d.id IN (SELECT whatsapp_private.devices_without_user()) AND d.state <> 'unlinking'
    AND (d.lease_expires_at IS NULL OR d.lease_expires_at <= now())
  LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING id
"""

# Offered and never scanned, so there are no keys. A QR lives for 160 seconds at the most.
_NEVER_SCANNED = """
DELETE FROM whatsapp_private.devices WHERE id IN (
  SELECT d.id FROM whatsapp_private.devices d
  WHERE d.state = 'unlinking' AND d.updated_at < now() - interval '4 minutes'
    AND (d.lease_expires_at IS NULL OR d.lease_expires_at <= now())
    AND whatsapp_private.stored_jid(d.fingerprint) IS NULL
  ORDER BY d.updated_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
RETURNING id
"""

_TO_UNLINK = """
SELECT d.id FROM whatsapp_private.devices d
WHERE d.state = 'unlinking' AND d.updated_at < now() - interval '4 minutes'
  AND (d.lease_expires_at IS NULL OR d.lease_expires_at <= now())
  AND whatsapp_private.stored_jid(d.fingerprint) IS NOT NULL
ORDER BY d.updated_at LIMIT %(limit)s
"""


class Sweeps(Table):
    """Batches of at most ``limit`` rows. Every method may raise ``StoreUnavailable``."""

    def overdue_attempts(self, limit: int) -> list[Attempt]:
        """Return live attempts whose window has been over for so long that their workflow must be gone."""
        return [attempt for row in self._all(_OVERDUE, limit=limit) if (attempt := attempt_from(row))]

    def clear_stuck_rows(self, limit: int) -> int:
        """Set rows that show a pairing which no live attempt explains to ``disconnected``; returns how many."""
        return len(self._all(_STUCK_ROWS, limit=limit))

    def give_up_orphans(self, limit: int) -> int:
        """Mark the devices of deleted users for unlinking; returns how many."""
        return len(self._all(_ORPHANS, limit=limit))

    def forget_never_scanned(self, limit: int) -> int:
        """Delete bindings of devices that were offered and never scanned; returns how many."""
        return len(self._all(_NEVER_SCANNED, limit=limit))

    def devices_to_unlink(self, limit: int) -> list[UUID]:
        """Return devices that should be gone by now and still have keys."""
        return [row["id"] for row in self._all(_TO_UNLINK, limit=limit)]
