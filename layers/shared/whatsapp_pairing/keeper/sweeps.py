"""The sweeps of cleanup about devices and their keys, in batches.

The first texts say which rows each sweep finds. The sweep and the dry run, which only counts, both use them.
"""

from typing import ClassVar
from uuid import UUID, uuid4

from whatsapp_pairing.runtime.sweep import Batch, Sweep

_FREE = "(d.lease_expires_at IS NULL OR d.lease_expires_at <= now())"
_HAS_KEYS = "whatsapp_private.stored_jid(d.fingerprint) IS NOT NULL"

# Orphans are devices of deleted users. No user is left who could disconnect them.
_ORPHANS = f"""
whatsapp_private.devices d WHERE d.user_id IS NULL AND d.state <> 'unlinking' AND {_FREE}
"""

# Stray devices are offered or scanned, although their attempt has ended or does not exist. Each end of an attempt gives
# its devices up, so there is a stray only after something went wrong.
_STRAYS = f"""
whatsapp_private.devices d
WHERE d.user_id IS NOT NULL AND d.state IN ('offered', 'linking') AND {_FREE} AND NOT EXISTS (
  SELECT FROM whatsapp_private.attempts a WHERE a.id = d.attempt_id AND a.ended_at IS NULL OFFSET 0
)
"""

# A device is stored with its first QR, and its QRs can be scanned for 160 seconds.
_NEVER_SCANNED = f"""
whatsapp_private.devices d
WHERE d.state = 'unlinking' AND d.created_at < now() - interval '4 minutes' AND {_FREE} AND NOT {_HAS_KEYS}
"""

_TO_UNLINK = f"""
whatsapp_private.devices d WHERE d.state = 'unlinking' AND d.unlink_due_at <= now() AND {_FREE} AND {_HAS_KEYS}
"""

# With an array, Postgres chooses the batch once and finds its rows by the primary key. With IN, it sometimes read the
# whole table for 200 rows, depending on the statistics of the last ANALYZE.
_GIVE_UP_ORPHANS, _GIVE_UP_STRAYS = (
    f"""
    UPDATE whatsapp_private.devices SET state = 'unlinking', unlink_due_at = created_at + interval '4 minutes'
    WHERE id = ANY (ARRAY(SELECT d.id FROM {devices} ORDER BY d.created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING id
    """
    for devices in (_ORPHANS, _STRAYS)
)

_FORGET_NEVER_SCANNED = f"""
DELETE FROM whatsapp_private.devices
WHERE id = ANY (ARRAY(SELECT d.id FROM {_NEVER_SCANNED} ORDER BY d.created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_GIVE_UP_UNEXPLAINED = "SELECT whatsapp_private.give_up_unexplained_v1(%(limit)s) AS found"
_FORGET_CONTACTS = "SELECT whatsapp_private.forget_contacts_v1(%(limit)s) AS found"
_START_UNLINKS = "SELECT whatsapp_private.start_unlinks_v1(%(call)s, %(limit)s) AS devices"
_COUNT_UNLINKS = f"SELECT count(*) AS due FROM {_TO_UNLINK}"


class DeviceSweeps(Sweep):
    """Batches of at most ``limit`` rows, each a transaction of its own. Every method may raise ``StoreUnavailable``."""

    counts: ClassVar = {
        "orphans_given_up": f"SELECT count(*) FROM {_ORPHANS}",
        "strays_given_up": f"SELECT count(*) FROM {_STRAYS}",
        "keys_given_up": "SELECT count(*) FROM whatsapp_private.unexplained_keys_v1(NULL, now())",
        "bindings_forgotten": f"SELECT count(*) FROM {_NEVER_SCANNED}",
        "unlinks_started": f"SELECT count(*) FROM {_TO_UNLINK}",
        "contacts_forgotten": "SELECT whatsapp_private.count_contacts_v1()",
    }

    def give_up_orphans(self, limit: int) -> Batch:
        """Give up the orphans: the devices of deleted users."""
        return self._swept(_GIVE_UP_ORPHANS, _ORPHANS, limit)

    def give_up_strays(self, limit: int) -> Batch:
        """Give up the stray devices, which no live attempt explains."""
        return self._swept(_GIVE_UP_STRAYS, _STRAYS, limit)

    def give_up_unexplained(self, limit: int) -> Batch:
        """Give unexplained keys a binding that is due for unlink."""
        return self._found(_GIVE_UP_UNEXPLAINED, limit)

    def forget_never_scanned(self, limit: int) -> Batch:
        """Forget devices that were offered and never scanned: delete their bindings."""
        return self._swept(_FORGET_NEVER_SCANNED, _NEVER_SCANNED, limit)

    def start_unlinks(self, limit: int) -> list[UUID]:
        """Return given-up devices that are due for unlink and have keys; each again only after a growing pause."""
        row = self._one(_START_UNLINKS, call=uuid4(), limit=limit)
        assert row is not None
        devices: list[UUID] = row["devices"]
        return devices

    def unlinks_due(self) -> int:
        """Return how many unlinks are due. After ``start_unlinks`` found fewer than its limit, these are locked."""
        return self._due(_COUNT_UNLINKS)

    def forget_contacts(self, limit: int) -> Batch:
        """Delete what whatsmeow keeps of accounts and contacts, when no device is stored."""
        return self._found(_FORGET_CONTACTS, limit)
