"""What cleanup looks for, in batches: oldest first, never what somebody else has locked.

What each sweep finds is written once, for the sweep and for the dry run that only counts.
"""

from uuid import UUID

from whatsapp_pairing.repository.rows import ATTEMPT, Table, attempt_from
from whatsapp_pairing.session import OVERDUE_SECONDS, Attempt

_OVERDUE = f"""
whatsapp_private.attempts a
WHERE a.ended_at IS NULL AND a.deadline < now() - make_interval(secs => {OVERDUE_SECONDS})
"""

_STUCK = """
public.whatsapp_sessions s
WHERE s.session_status IN ('connecting', 'waiting_qr') AND s.updated_at < now() - interval '5 minutes'
  AND NOT EXISTS (SELECT FROM whatsapp_private.attempts a WHERE a.user_id = s.user_id AND a.ended_at IS NULL)
"""

_FREE = "(d.lease_expires_at IS NULL OR d.lease_expires_at <= now())"
_HAS_KEYS = "whatsapp_private.stored_jid(d.fingerprint) IS NOT NULL"

# Their users were deleted: nobody is left to disconnect them.
_ORPHANS = f"""
whatsapp_private.devices d WHERE d.user_id IS NULL AND d.state <> 'unlinking' AND {_FREE}
"""

# Offered and never scanned, so there are no keys. A QR lives for 160 seconds at the most.
_NEVER_SCANNED = f"""
whatsapp_private.devices d
WHERE d.state = 'unlinking' AND d.updated_at < now() - interval '4 minutes' AND {_FREE} AND NOT {_HAS_KEYS}
"""

# Started twice as long after each start, once a day in the end: WhatsApp may refuse for long (a ban, an outdated
# engine). The first condition on updated_at is the one that the index knows.
_TO_UNLINK = f"""
whatsapp_private.devices d
WHERE d.state = 'unlinking' AND d.updated_at < now() - interval '4 minutes'
  AND d.updated_at < now() - least(interval '4 minutes' * 2 ^ least(d.unlink_starts, 10), interval '1 day')
  AND {_FREE} AND {_HAS_KEYS}
"""

# An array and not IN: the batch is chosen once, whatever the plan, and Postgres goes by the primary key. With IN it
# sometimes read the whole table for 200 rows, as the sample of its last ANALYZE had it.
_READ_OVERDUE = f"""
SELECT {ATTEMPT} FROM whatsapp_private.attempts a
WHERE a.id = ANY (ARRAY(SELECT a.id FROM {_OVERDUE} ORDER BY a.deadline LIMIT %(limit)s)) ORDER BY a.deadline
"""

_CLEAR_STUCK = f"""
UPDATE public.whatsapp_sessions SET session_status = 'disconnected', qr_code = NULL
WHERE id = ANY (ARRAY(SELECT s.id FROM {_STUCK} ORDER BY s.updated_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

# Their age stays: one that was offered a moment ago may still be scanned.
_GIVE_UP_ORPHANS = f"""
UPDATE whatsapp_private.devices SET state = 'unlinking'
WHERE id = ANY (ARRAY(SELECT d.id FROM {_ORPHANS} ORDER BY d.updated_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_FORGET_NEVER_SCANNED = f"""
DELETE FROM whatsapp_private.devices
WHERE id = ANY (ARRAY(SELECT d.id FROM {_NEVER_SCANNED} ORDER BY d.updated_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_START_UNLINKS = f"""
UPDATE whatsapp_private.devices SET unlink_starts = unlink_starts + 1, updated_at = now()
WHERE id = ANY (ARRAY(SELECT d.id FROM {_TO_UNLINK} ORDER BY d.updated_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_COUNT = f"""
SELECT (SELECT count(*) FROM {_OVERDUE}) AS attempts_ended,
       (SELECT count(*) FROM {_STUCK}) AS rows_cleared,
       (SELECT count(*) FROM {_ORPHANS}) AS orphans_given_up,
       (SELECT count(*) FROM {_NEVER_SCANNED}) AS bindings_forgotten,
       (SELECT count(*) FROM {_TO_UNLINK}) AS unlinks_started
"""


class Sweeps(Table):
    """Batches of at most ``limit`` rows, each a transaction of its own. Every method may raise ``StoreUnavailable``."""

    def overdue_attempts(self, limit: int) -> list[Attempt]:
        """Return live attempts whose window has been over for so long that their workflow must be gone."""
        return [attempt for row in self._all(_READ_OVERDUE, limit=limit) if (attempt := attempt_from(row))]

    def clear_stuck_rows(self, limit: int) -> int:
        """Set rows that show a pairing which no live attempt explains to ``disconnected``; returns how many."""
        return len(self._all(_CLEAR_STUCK, limit=limit))

    def give_up_orphans(self, limit: int) -> int:
        """Mark the devices of deleted users for unlinking; returns how many."""
        return len(self._all(_GIVE_UP_ORPHANS, limit=limit))

    def forget_never_scanned(self, limit: int) -> int:
        """Delete bindings of devices that were offered and never scanned; returns how many."""
        return len(self._all(_FORGET_NEVER_SCANNED, limit=limit))

    def start_unlinks(self, limit: int) -> list[UUID]:
        """Return devices that should be gone by now and still have keys; each again only after a growing pause."""
        return [row["id"] for row in self._all(_START_UNLINKS, limit=limit)]

    def count(self) -> dict[str, int]:
        """Return how much each sweep would find now, by the names of ``cleaning.Swept``; changes nothing."""
        row = self._one(_COUNT)
        assert row is not None
        return row
