"""Processes die or hang at a random moment of each step."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.system.faults.disturbed_pairing import DisturbedPairing
from tests.system.faults.disturbed_system import OVER, Kind, kill, until
from tests.system.faults.suite import case

GROUP = "process"
RUNS = 4

Step = Callable[[DisturbedPairing], None]


def before_the_socket(pairing: DisturbedPairing) -> None:
    """The linker runs, and its engine is still loading."""
    pairing.click()
    pairing.system.linker()
    pairing.pause(0.4)


def before_the_qr(pairing: DisturbedPairing) -> None:
    """The socket is open, and WhatsApp has not sent a QR yet."""
    pairing.system.sandbox.set_knobs(qrDelaySeconds=2)
    pairing.click()
    pairing.system.wait_for_socket("pairing")
    pairing.pause(1.5)
    pairing.system.sandbox.reset_knobs()


def while_shown(pairing: DisturbedPairing) -> None:
    """The QR shows."""
    pairing.click()
    pairing.qr()
    pairing.pause(1.5)


def between_scan_and_login(pairing: DisturbedPairing) -> None:
    """The phone has linked the device.

    The device reconnects (after WhatsApp's stream error 515) and has not logged in yet.
    """
    pairing.system.sandbox.set_knobs(loginDelaySeconds=2)
    pairing.click_and_scan()
    pairing.pause(1.5)
    pairing.system.sandbox.reset_knobs()


def between_login_and_connected(pairing: DisturbedPairing) -> None:
    """The device is online and waits for its first sync."""
    pairing.system.sandbox.set_knobs(syncDelaySeconds=3)
    pairing.click_and_scan()
    pairing.system.wait_for_socket("online")
    pairing.pause(1.5)
    pairing.system.sandbox.reset_knobs()


def at_the_scan(pairing: DisturbedPairing) -> None:
    """The scan has just happened."""
    pairing.click_and_scan()


STEPS: dict[str, Step] = {
    "before the socket": before_the_socket,
    "before the QR": before_the_qr,
    "while the QR shows": while_shown,
    "at the scan": at_the_scan,
    "between scan and login": between_scan_and_login,
    "between login and connected": between_login_and_connected,
}


def _linker_killed(step: Step) -> Callable[[DisturbedPairing], None]:
    def fault(pairing: DisturbedPairing) -> None:
        step(pairing)
        for one in pairing.system.busy("linker"):
            kill(one["pid"])
        pairing.persist()

    return fault


for _name, _step in STEPS.items():
    case(GROUP, f"linker killed {_name}", runs=RUNS)(_linker_killed(_step))


def _engine(step: Step, number: signal.Signals) -> Callable[[DisturbedPairing], None]:
    def fault(pairing: DisturbedPairing) -> None:
        step(pairing)
        kill(pairing.system.engine(), number)
        if step is while_shown:
            pairing.qr()  # the next QR: no phone can use the one of the killed engine
        pairing.persist()

    return fault


def _linker_frozen(step: Step) -> Callable[[DisturbedPairing], None]:
    def fault(pairing: DisturbedPairing) -> None:
        step(pairing)
        frozen, lease = pairing.system.linker(), pairing.lease
        kill(frozen, signal.SIGSTOP)
        try:
            until("another linker", lambda: pairing.lease not in (None, lease))
        finally:
            # The frozen linker goes on beside its successor. It must write nothing.
            kill(frozen, signal.SIGCONT)
        pairing.persist()

    return fault


def _linker_out_of_memory(step: Step) -> Callable[[DisturbedPairing], None]:
    """Let the linker allocate memory until the runner kills it.

    The runner limits a function and its children to MemorySize.

    On Lambda, the kernel may kill the engine instead. "engine killed" is that case.
    """

    def fault(pairing: DisturbedPairing) -> None:
        step(pairing)
        linker = pairing.system.linker()
        kill(linker, signal.SIGUSR1)  # tests/system/faults/layer
        until("the end of the linker", lambda: linker not in pairing.system.pids("linker"), 10)
        pairing.persist()

    return fault


for _name in ("while the QR shows", "between scan and login"):
    case(GROUP, f"engine killed {_name}", runs=2)(_engine(STEPS[_name], signal.SIGKILL))
    case(GROUP, f"engine hangs {_name}")(_engine(STEPS[_name], signal.SIGSTOP))
    case(GROUP, f"linker frozen {_name}")(_linker_frozen(STEPS[_name]))
    case(GROUP, f"linker out of memory {_name}", runs=2)(_linker_out_of_memory(STEPS[_name]))


# In the template, the linker's Timeout is longer than both windows. Here it is shorter than one window.
SHORT_LIVED = Kind(linker=(("Timeout", 6),))


@case(GROUP, "linker at its Timeout while the QR shows", kind=SHORT_LIVED)
def _(pairing: DisturbedPairing) -> None:
    pairing.click()
    pairing.qr()
    linker = pairing.system.linker()
    until("the end of the linker", lambda: linker not in pairing.system.pids("linker"))
    pairing.persist()


@case(GROUP, "linker at its Timeout between scan and login", kind=SHORT_LIVED)
def _(pairing: DisturbedPairing) -> None:
    pairing.system.sandbox.set_knobs(loginDelaySeconds=6)
    pairing.click_and_scan()
    linker = pairing.system.linker()
    until("the end of the linker", lambda: linker not in pairing.system.pids("linker"))
    pairing.system.sandbox.reset_knobs()
    pairing.persist()


@case(GROUP, "every linker out of memory", "error: linker_failed")
def _(pairing: DisturbedPairing) -> None:
    """Every linker exceeds MemorySize, as if that were too low for the engine."""
    fed: set[object] = set()

    def over() -> bool:
        if pairing.lease not in (None, *fed):
            fed.add(pairing.lease)
            kill(pairing.system.linker(), signal.SIGUSR1)
        return pairing.user.status().get("status") in OVER

    pairing.click()
    until("end", over, 150, every=0.2)


@case(GROUP, "the QR of a killed linker does not come back")
def _(pairing: DisturbedPairing) -> None:
    while_shown(pairing)
    kill(pairing.system.linker())
    pairing.next_qr_is_new()
    pairing.persist()


@case(GROUP, "three linkers killed in a row")
def _(pairing: DisturbedPairing) -> None:
    pairing.click()
    for _ in range(3):
        pairing.qr()
        kill(pairing.system.linker())
    pairing.persist()


def _while_at_work(pairing: DisturbedPairing, name: str) -> None:
    """Kill the next instance of this function that gets a call."""
    kill(int(until(f"a busy {name}", lambda: pairing.system.busy(name), 20, every=0.001)[0]["pid"]))


@case(GROUP, "open_phase killed at work", runs=3)
def _(pairing: DisturbedPairing) -> None:
    pairing.click()
    _while_at_work(pairing, "open_phase")
    pairing.persist()


@case(GROUP, "settle_phase killed at work")
def _(pairing: DisturbedPairing) -> None:
    pairing.click()
    pairing.qr()
    kill(pairing.system.linker())
    _while_at_work(pairing, "settle_phase")
    pairing.persist()


@case(GROUP, "every instance killed while the QR shows", runs=2)
def _(pairing: DisturbedPairing) -> None:
    while_shown(pairing)
    for name in ("authorizer", "connect", "status", "open_phase", "settle_phase", "linker"):
        for one in pairing.system.stack.instances(name):
            kill(one["pid"])
    pairing.persist()


@case(GROUP, "unlink killed when WhatsApp has removed the device", "disconnected", runs=4)
def _(pairing: DisturbedPairing) -> None:
    """WhatsApp has removed the device. whatsmeow deletes its keys now, or has just done so."""
    system = pairing.system
    pairing.click_and_scan()
    pairing.user.reaches("connected")
    assert pairing.user.disconnect().json()["status"] == "disconnected"
    until("the removal", lambda: not system.sandbox.devices(pairing.number), every=0.001)
    for instance in system.busy("unlink"):
        kill(int(instance["pid"]))
    system.query(
        "UPDATE whatsapp_private.devices SET lease_expires_at = now(), unlink_due_at = now() WHERE state = 'unlinking'"
    )
    system.clean()


@case(GROUP, "connect killed at work", runs=3)
def _(pairing: DisturbedPairing) -> None:
    """The click may be lost. The next click starts the attempt or finds it."""
    system = pairing.system
    with system.slow_postgres(), pairing.clicking() as clicked:
        _while_at_work(pairing, "connect")
    assert clicked.result(40).status in (500, 503)
    until("another click", lambda: pairing.user.connect().status in (200, 202), 8, every=0.2)
    pairing.persist()
