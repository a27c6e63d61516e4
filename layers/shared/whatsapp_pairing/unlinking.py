"""How a linked device is removed: first at WhatsApp, then its keys here."""

import time
from collections.abc import Callable
from uuid import UUID, uuid4

from whatsapp_pairing.engine import Died, Engine, LoggedOut, Online, Refused, Replaced, Unreachable
from whatsapp_pairing.errors import DeviceBusy, UnlinkFailed
from whatsapp_pairing.repository.devices import Devices, Taken
from whatsapp_pairing.session import LEASE_SECONDS, RENEW_SECONDS

# A linker that has lost its attempt lets go within a renewal; a dead one's lease ends by itself.
PATIENCE_SECONDS = LEASE_SECONDS + RENEW_SECONDS
LOG_OUT_SECONDS = 45.0


def unlink(
    device_id: UUID,
    devices: Devices,
    engine: Engine,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Remove a device at WhatsApp and then its keys; doing it again changes nothing.

    Raises
    ------
    DeviceBusy
        A linker has held the device all the while.
    UnlinkFailed
        WhatsApp did not confirm; the keys are kept, for without them nobody could remove the device.
    """
    lease = uuid4()
    taken = _take(device_id, lease, devices, clock, sleep)
    if taken is None:
        return
    if taken.jid and not _log_out(taken.jid, device_id, lease, devices, engine, clock):
        devices.give_back(device_id, lease)
        raise UnlinkFailed("WhatsApp did not confirm that the device is gone.")
    devices.forget(device_id, lease)


def _take(
    device_id: UUID, lease: UUID, devices: Devices, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Taken | None:
    until = clock() + PATIENCE_SECONDS
    while True:
        try:
            return devices.take(device_id, lease)
        except DeviceBusy:
            if clock() >= until:
                raise
            sleep(0.5)


def _log_out(
    jid: str, device_id: UUID, lease: UUID, devices: Devices, engine: Engine, clock: Callable[[], float]
) -> bool:
    until = clock() + LOG_OUT_SECONDS
    with engine.log_out(jid) as run:
        while clock() < until and devices.renew(device_id, lease):
            match run.next_event(RENEW_SECONDS):
                case LoggedOut():
                    return True
                case Online():
                    # An engine loads keys by JID. WhatsApp may have given the JID to another device after we took ours.
                    # Ours is then gone, and the engine may have loaded the other's keys: leave those alone.
                    if devices.stored_jid(device_id, lease) != jid:
                        return True
                    run.confirm()
                case Died() | Refused() | Replaced() | Unreachable():
                    return False
    return False
