"""The sweeps of cleanup that change devices and their keys.

The first constants say which rows each sweep finds. The sweep uses them, and so does the dry run, which only counts.
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
# the attempt's devices up, so a stray exists only after a fault.
_STRAYS = f"""
whatsapp_private.devices d
WHERE d.user_id IS NOT NULL AND d.state IN ('offered', 'linking') AND {_FREE} AND NOT EXISTS (
  SELECT FROM whatsapp_private.attempts a WHERE a.id = d.attempt_id AND a.ended_at IS NULL OFFSET 0
)
"""

# A binding is made with the device's first QR. The first pause of unlink_pause_v1 is longer than a device's QRs last.
# So a binding that is older than this pause and has no keys was never scanned.
_NEVER_SCANNED = f"""
whatsapp_private.devices d
WHERE d.state = 'unlinking' AND d.created_at < now() - whatsapp_private.unlink_pause_v1(0)
  AND {_FREE} AND NOT {_HAS_KEYS}
"""

_TO_UNLINK = f"""
whatsapp_private.devices d WHERE d.state = 'unlinking' AND d.unlink_due_at <= now() AND {_FREE} AND {_HAS_KEYS}
"""

_GIVE_UP_ORPHANS, _GIVE_UP_STRAYS = (
    f"""
    UPDATE whatsapp_private.devices SET
      state = 'unlinking', unlink_due_at = created_at + whatsapp_private.unlink_pause_v1(0)
    WHERE id = ANY (ARRAY(SELECT d.id FROM {devices} ORDER BY d.created_at LIMIT %(size)s FOR UPDATE SKIP LOCKED))
    RETURNING id
    """
    for devices in (_ORPHANS, _STRAYS)
)

_FORGET_NEVER_SCANNED = f"""
DELETE FROM whatsapp_private.devices
WHERE id = ANY (ARRAY(SELECT d.id FROM {_NEVER_SCANNED} ORDER BY d.created_at LIMIT %(size)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_GIVE_UP_UNEXPLAINED = "SELECT whatsapp_private.give_up_unexplained_v1(%(size)s) AS found"
_FORGET_CONTACTS = "SELECT whatsapp_private.forget_contacts_v1(%(size)s) AS found"
_START_UNLINKS = "SELECT whatsapp_private.start_unlinks_v1(%(call)s, %(size)s) AS devices"
_COUNT_UNLINKS = f"SELECT count(*) AS due FROM {_TO_UNLINK}"


class DeviceSweeps(Sweep):
    """A sweep changes at most ``size`` rows in one transaction. Every method may raise ``DatabaseUnavailable``."""

    counts: ClassVar = {
        "orphans_given_up": f"SELECT count(*) FROM {_ORPHANS}",
        "strays_given_up": f"SELECT count(*) FROM {_STRAYS}",
        "keys_given_up": "SELECT count(*) FROM whatsapp_private.unexplained_keys_v1(NULL, now())",
        "bindings_forgotten": f"SELECT count(*) FROM {_NEVER_SCANNED}",
        "unlinks_started": f"SELECT count(*) FROM {_TO_UNLINK}",
        "contacts_forgotten": "SELECT whatsapp_private.count_contacts_v1()",
    }

    def give_up_orphans(self, size: int) -> Batch:
        """Give up the devices of deleted users."""
        return self._swept(_GIVE_UP_ORPHANS, _ORPHANS, size)

    def give_up_strays(self, size: int) -> Batch:
        """Give up stray devices."""
        return self._swept(_GIVE_UP_STRAYS, _STRAYS, size)

    def give_up_unexplained(self, size: int) -> Batch:
        """Give each device that has keys but no binding a binding. It is due for unlink at once."""
        return self._found(_GIVE_UP_UNEXPLAINED, size)

    def forget_never_scanned(self, size: int) -> Batch:
        """Delete the bindings of devices that were offered and never scanned."""
        return self._swept(_FORGET_NEVER_SCANNED, _NEVER_SCANNED, size)

    def start_unlinks(self, size: int) -> list[UUID]:
        """Return given-up devices with keys that are due for unlink.

        A device comes again only after a growing pause.
        """
        row = self._one(_START_UNLINKS, call=uuid4(), size=size)
        assert row is not None
        devices: list[UUID] = row["devices"]
        return devices

    def unlinks_due(self) -> int:
        """Return how many unlinks are due. If the last batch was not full, they are locked."""
        return self._due(_COUNT_UNLINKS)

    def forget_contacts(self, size: int) -> Batch:
        """Delete whatsmeow's rows about accounts and contacts, when no device is stored."""
        return self._found(_FORGET_CONTACTS, size)
