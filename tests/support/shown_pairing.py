"""A pairing whose linker has shown a QR, for tests of what happens next."""

from __future__ import annotations

from typing import TypeVar

from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.pairing.attempt import Attempt
from whatsapp_pairing.pairing.leases import Connected

from tests.support.adv_secret import Secret
from tests.support.repositories import World

JID = "5215550009:3@s.whatsapp.net"
T = TypeVar("T")


class ShownPairing:
    """A live attempt, its linker's lease, and the adv secret of the QR that shows."""

    def __init__(self, world: World) -> None:
        self.world, self.user, self.secret = world, world.user(), Secret()
        self.attempt_id = world.claim(self.user)
        self.lease = world.lease(self.attempt_id)
        self.show(self.secret)

    def show(self, secret: Secret, notice: Notice | None = None) -> Attempt:
        """Show a QR."""
        return not_none(
            self.world.leases.show_qr(self.attempt_id, self.lease, secret.text(), 60, secret.fingerprint, notice)
        )

    def scan(self, secret: Secret | None = None, jid: str = JID) -> Attempt:
        """Let a phone scan the QR of this secret (default: the first), and report the scan."""
        self.world.store_keys(secret or self.secret, jid)
        return not_none(self.world.leases.scanned(self.attempt_id, self.lease, jid))

    def connect(self) -> Connected:
        """Report that the device has logged in."""
        return not_none(self.world.leases.connected(self.attempt_id, self.lease, JID))

    def refuse(self, refusals: int = 0, jid: str | None = None) -> Attempt:
        """Report that WhatsApp has refused the pairing, or the login of the device with this JID."""
        return not_none(self.world.leases.refuse(self.attempt_id, self.lease, refusals, jid))

    @property
    def notice(self) -> Notice | None:
        """The notice that the person sees."""
        return self.world.sessions.get(self.user).notice

    @property
    def version(self) -> int:
        """The version of the session."""
        return int(self.world.value("SELECT version FROM whatsapp_private.sessions WHERE user_id = %s", self.user))


def not_none(found: T | None) -> T:
    """Return the value, which must not be None."""
    assert found is not None
    return found
