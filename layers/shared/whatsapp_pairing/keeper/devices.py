"""The calls of unlink about a given-up device: its lease, and the deletion of its keys."""

from dataclasses import dataclass, field
from uuid import UUID

from whatsapp_pairing.core.errors import DeviceBusy
from whatsapp_pairing.runtime.lease import LEASE_SECONDS
from whatsapp_pairing.runtime.repository import Repository

_TAKE = "SELECT * FROM whatsapp_private.take_device_v1(%(id)s, %(lease)s, %(ttl)s)"

_STORED = """
SELECT whatsapp_private.stored_jid(d.fingerprint) AS jid FROM whatsapp_private.devices d
WHERE d.id = %(id)s AND d.lease_id = %(lease)s
"""

_RENEW = """
UPDATE whatsapp_private.devices d SET lease_expires_at = now() + make_interval(secs => %(ttl)s)
WHERE d.id = %(id)s AND d.lease_id = %(lease)s
RETURNING d.id
"""

_GIVE_BACK = """
UPDATE whatsapp_private.devices d SET lease_id = NULL, lease_expires_at = NULL
WHERE d.id = %(id)s AND d.lease_id = %(lease)s
"""

# forget_v1 runs as the tables' owner, because our role has no right to read or delete keys.
_FORGET = "SELECT whatsapp_private.forget_v1(%(id)s, %(lease)s)"


@dataclass(frozen=True)
class Taken:
    """A device whose lease we hold; ``jid`` is None when whatsmeow has no keys for it."""

    jid: str | None = field(repr=False)


class Devices(Repository):
    """Given-up devices. Every method may raise ``DatabaseUnavailable``."""

    def take(self, device_id: UUID, lease: UUID) -> Taken | None:
        """Take the lease of a device that is to be unlinked; None when the device is gone already.

        Raises
        ------
        DeviceBusy
            A linker or another unlink still holds the lease.
        """
        row = self._one(_TAKE, id=device_id, lease=lease, ttl=LEASE_SECONDS)
        if row is None:
            return None
        if row["busy"]:
            raise DeviceBusy()
        return Taken(row["jid"])

    def stored_jid(self, device_id: UUID, lease: UUID) -> str | None:
        """Return the JID under which whatsmeow stores the keys now; None without keys or without the lease."""
        row = self._one(_STORED, id=device_id, lease=lease)
        return row["jid"] if row else None

    def renew(self, device_id: UUID, lease: UUID) -> bool:
        """Renew the lease; False when it is lost."""
        return self._one(_RENEW, id=device_id, lease=lease, ttl=LEASE_SECONDS) is not None

    def give_back(self, device_id: UUID, lease: UUID) -> None:
        """Give back the lease of a device that could not be unlinked. Cleanup starts unlink again later."""
        self._do(_GIVE_BACK, id=device_id, lease=lease)

    def forget(self, device_id: UUID, lease: UUID) -> None:
        """Delete the device's keys, its binding, and whatsmeow's rows about its account."""
        self._do(_FORGET, id=device_id, lease=lease)
