"""Processes die or hang, at a random moment of each step."""

from __future__ import annotations

import signal
from collections.abc import Callable

from tests.faults.suite import case
from tests.faults.world import Pairing, kill, until

GROUP = "process"
RUNS = 4

Step = Callable[[Pairing], None]


def before_the_socket(pairing: Pairing) -> None:
    """The linker works; its engine is still loading."""
    pairing.click()
    pairing.world.linker()
    pairing.pause(0.4)


def before_the_qr(pairing: Pairing) -> None:
    """The socket is open; WhatsApp has not given a QR yet."""
    pairing.world.sandbox.set_knobs(qrDelaySeconds=2)
    pairing.click()
    pairing.world.wait_for_socket("pairing")
    pairing.pause(1.5)
    pairing.world.sandbox.reset_knobs()


def while_shown(pairing: Pairing) -> None:
    """The person looks at the QR."""
    pairing.click()
    pairing.qr()
    pairing.pause(1.5)


def between_scan_and_login(pairing: Pairing) -> None:
    """The phone has linked the device, which has not logged in yet; from the 515 restart on."""
    pairing.world.sandbox.set_knobs(loginDelaySeconds=2)
    pairing.click_and_scan()
    pairing.pause(1.5)
    pairing.world.sandbox.reset_knobs()


def between_login_and_connected(pairing: Pairing) -> None:
    """The device is online and waits for its first sync."""
    pairing.world.sandbox.set_knobs(syncDelaySeconds=3)
    pairing.click_and_scan()
    pairing.world.wait_for_socket("online")
    pairing.pause(1.5)
    pairing.world.sandbox.reset_knobs()


def at_the_scan(pairing: Pairing) -> None:
    """The very moment of the scan."""
    pairing.click_and_scan()


STEPS: dict[str, Step] = {
    "before the socket": before_the_socket,
    "before the QR": before_the_qr,
    "while the QR shows": while_shown,
    "at the scan": at_the_scan,
    "between scan and login": between_scan_and_login,
    "between login and connected": between_login_and_connected,
}


def _linker_killed(step: Step) -> Callable[[Pairing], None]:
    def fault(pairing: Pairing) -> None:
        step(pairing)
        for one in pairing.world.busy("linker"):
            kill(one["pid"])
        pairing.persist()

    return fault


for _name, _step in STEPS.items():
    case(GROUP, f"linker killed {_name}", runs=RUNS)(_linker_killed(_step))


@case(GROUP, "engine killed while the QR shows", runs=2)
def _(pairing: Pairing) -> None:
    while_shown(pairing)
    kill(pairing.world.engine())
    pairing.persist()


@case(GROUP, "engine killed between scan and login", runs=2)
def _(pairing: Pairing) -> None:
    between_scan_and_login(pairing)
    kill(pairing.world.engine())
    pairing.persist()


@case(GROUP, "engine hangs while the QR shows")
def _(pairing: Pairing) -> None:
    while_shown(pairing)
    kill(pairing.world.engine(), signal.SIGSTOP)
    pairing.user.wait(30, "another QR", lambda status: status.get("qr") not in (None, *pairing.seen))
    pairing.persist()


@case(GROUP, "engine hangs between scan and login")
def _(pairing: Pairing) -> None:
    between_scan_and_login(pairing)
    kill(pairing.world.engine(), signal.SIGSTOP)
    pairing.persist()


def _linker_frozen(step: Step) -> Callable[[Pairing], None]:
    def fault(pairing: Pairing) -> None:
        step(pairing)
        frozen, lease = pairing.world.linker(), pairing.lease
        kill(frozen, signal.SIGSTOP)
        try:
            until("another linker", lambda: pairing.lease not in (None, lease))
        finally:
            # It wakes up beside its successor and must let go without a word.
            kill(frozen, signal.SIGCONT)
        pairing.persist()

    return fault


case(GROUP, "linker frozen while the QR shows")(_linker_frozen(while_shown))
case(GROUP, "linker frozen between scan and login")(_linker_frozen(between_scan_and_login))


@case(GROUP, "the QR of a killed linker does not come back")
def _(pairing: Pairing) -> None:
    while_shown(pairing)
    kill(pairing.world.linker())
    pairing.next_qr_is_new()
    pairing.persist()


@case(GROUP, "three linkers killed in a row")
def _(pairing: Pairing) -> None:
    pairing.click()
    for _ in range(3):
        pairing.qr()
        kill(pairing.world.linker())
    pairing.persist()


def _while_at_work(pairing: Pairing, name: str) -> None:
    """Kill the next instance of a function that takes a call."""
    kill(int(until(f"a busy {name}", lambda: pairing.world.busy(name), 20, every=0.001)[0]["pid"]))


@case(GROUP, "open_phase killed at work", runs=3)
def _(pairing: Pairing) -> None:
    pairing.click()
    _while_at_work(pairing, "open_phase")
    pairing.persist()


@case(GROUP, "finish_pairing killed at work")
def _(pairing: Pairing) -> None:
    pairing.click()
    pairing.qr()
    kill(pairing.world.linker())
    _while_at_work(pairing, "finish_pairing")
    pairing.persist()


@case(GROUP, "every instance killed while the QR shows", runs=2)
def _(pairing: Pairing) -> None:
    while_shown(pairing)
    for name in ("authorizer", "connect", "status", "open_phase", "finish_pairing", "linker"):
        for one in pairing.world.stack.instances(name):
            kill(one["pid"])
    pairing.persist()


@case(GROUP, "connect killed at work", runs=3)
def _(pairing: Pairing) -> None:
    """The click may be lost; the next one starts or finds the attempt."""
    world = pairing.world
    with world.slow_postgres(), pairing.clicking() as clicked:
        _while_at_work(pairing, "connect")
    assert clicked.result(40).status in (500, 503)
    until("another click", lambda: pairing.user.connect().status in (200, 202), 8, every=0.2)
    pairing.persist()
