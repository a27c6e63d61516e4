"""How a linked device is removed: first at WhatsApp, then its keys here."""

import time
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID, uuid4

from whatsapp_pairing.core.engine import (
    DatabaseFailed,
    Died,
    Engine,
    Event,
    LoggedOut,
    Online,
    Refused,
    Replaced,
    Unreachable,
)
from whatsapp_pairing.core.errors import DeviceBusy, EngineDatabaseFailed, PairingError, UnlinkFailed
from whatsapp_pairing.keeper.devices import Devices, Taken
from whatsapp_pairing.runtime import metrics
from whatsapp_pairing.runtime.lease import LEASE_SECONDS, RENEW_SECONDS, Lease, LeaseLost

# Unlink waits this long for the lease. A linker that has lost its attempt lets go of the device at its next renewal.
# The lease of a dead linker ends by itself.
PATIENCE_SECONDS = LEASE_SECONDS + RENEW_SECONDS
LOG_OUT_SECONDS = 45.0


def unlink(
    device_id: UUID,
    devices: Devices,
    engine: Engine,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Remove a device at WhatsApp and then its keys. A second call changes nothing.

    Raises
    ------
    DeviceBusy
        Another process has held the device's lease for all of ``PATIENCE_SECONDS``.
    EngineDatabaseFailed
        The engine's database fails. The keys are kept.
    UnlinkFailed
        WhatsApp did not confirm. The keys are kept, because nobody could remove the device without them.
    """
    lease_id = uuid4()
    taken, asked_at = _take(device_id, lease_id, devices, clock, sleep)
    if taken is None:
        return
    if taken.jid:
        lease = Lease(lease_id, asked_at, clock, sleep)
        last = _log_out(taken.jid, device_id, lease, devices, engine, clock)
        if last != LoggedOut():
            devices.give_back(device_id, lease_id)
            raise _failure(last)
    devices.forget(device_id, lease_id)


def _take(
    device_id: UUID, lease_id: UUID, devices: Devices, clock: Callable[[], float], sleep: Callable[[float], None]
) -> tuple[Taken | None, float]:
    """Take the lease; return the device, and the moment at which the lease was asked for."""
    until = clock() + PATIENCE_SECONDS
    while True:
        asked_at = clock()
        try:
            return devices.take(device_id, lease_id), asked_at
        except DeviceBusy:
            if clock() >= until:
                raise
            sleep(0.5)


def _log_out(
    jid: str, device_id: UUID, lease: Lease, devices: Devices, engine: Engine, clock: Callable[[], float]
) -> Event | None:
    """Return the event that ends the logout; None when the time or the lease is over first."""
    until = clock() + LOG_OUT_SECONDS
    with engine.log_out(jid, lease.engine_ends_at) as run, lease.running(run), suppress(LeaseLost):
        while clock() < until:
            lease.renew(lambda: devices.renew(device_id, lease.id))
            match run.next_event(RENEW_SECONDS):
                case Online():
                    # An engine loads keys by JID. WhatsApp may have given this JID to another device meanwhile. Our
                    # device is then gone. Do not confirm, because the engine may have loaded the other device's keys.
                    if devices.stored_jid(device_id, lease.id) != jid:
                        return LoggedOut()
                    run.confirm()
                case LoggedOut() | Died() | Refused() | Replaced() | DatabaseFailed() | Unreachable() as last:
                    return last
    return None


def _failure(last: Event | None) -> PairingError:
    if isinstance(last, DatabaseFailed):
        if not last.passes:
            metrics.engine_database_failed()
        return EngineDatabaseFailed("The engine's database fails, so WhatsApp was not asked to remove the device.")
    return UnlinkFailed("WhatsApp did not confirm that the device is gone.")
