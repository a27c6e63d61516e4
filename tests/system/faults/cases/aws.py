"""Step Functions and Lambda throttle, fail, hang, lose their answer, or lose the call itself."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from tests.system.faults.aws_proxy import REFUSALS
from tests.system.faults.cases.people import CANCELLED
from tests.system.faults.cases.processes import while_shown
from tests.system.faults.disturbed_pairing import DisturbedPairing
from tests.system.faults.disturbed_system import HASTY, until
from tests.system.faults.suite import case

GROUP = "aws"

Spell = dict[str, int]
Fault = Callable[[DisturbedPairing, str, Spell], None]

# How long the fault lasts, and how many runs the case has. Short faults have one run for each of the `REFUSALS`.
SPELLS: dict[str, tuple[Spell, int]] = {
    "once": ({"calls": 1}, 5),
    "for 5 s": ({"seconds": 5}, 5),
    "for 15 s": ({"seconds": 15}, 2),
}


def refused(call: str, *ends: str) -> Callable[[Fault], Fault]:
    """Register a case for each spell. Its runs take the `REFUSALS` in turn."""

    def register(fault: Fault) -> Fault:
        for name, (spell, runs) in SPELLS.items():
            case(GROUP, f"{call} fails {name}", *ends, runs=runs)(_in_turn(fault, call, spell))
        return fault

    return register


def _in_turn(fault: Fault, call: str, spell: Spell) -> Callable[[DisturbedPairing], None]:
    ways = itertools.cycle(REFUSALS)

    def one(pairing: DisturbedPairing) -> None:
        fault(pairing, next(ways), spell)
        assert pairing.system.aws.met, f"nobody called {call}"

    return one


@refused("StartExecution")
def _(pairing: DisturbedPairing, how: str, spell: Spell) -> None:
    """The click is answered 503, and its attempt ends. A click after the pause starts the next attempt."""
    pairing.system.aws.disturb("StartExecution", how, **spell)
    until("a click that helps", lambda: _clicked(pairing), 60, every=0.5)
    pairing.persist()


def _clicked(pairing: DisturbedPairing) -> bool:
    answer = pairing.user.connect()
    if answer.status in (200, 202):
        return True
    assert (answer.status, answer.json().get("error")) in ((503, "unavailable"), (429, "too_soon")), answer
    return False


@refused("SendTaskSuccess")
def _(pairing: DisturbedPairing, how: str, spell: Spell) -> None:
    pairing.system.aws.disturb("SendTaskSuccess", how, **spell)
    pairing.click()
    pairing.persist()


@refused("SendTaskHeartbeat")
def _(pairing: DisturbedPairing, how: str, spell: Spell) -> None:
    while_shown(pairing)
    pairing.system.aws.disturb("SendTaskHeartbeat", how, **spell)
    time.sleep(spell.get("seconds", 3))
    pairing.persist()


@refused("SendTaskFailure", CANCELLED)
def _(pairing: DisturbedPairing, how: str, spell: Spell) -> None:
    while_shown(pairing)
    pairing.system.aws.disturb("SendTaskFailure", how, **spell)
    assert pairing.user.disconnect().json()["status"] == "disconnected"


@refused("Invoke linker")
def _(pairing: DisturbedPairing, how: str, spell: Spell) -> None:
    pairing.system.aws.disturb("Invoke linker", how, **spell)
    pairing.click()
    pairing.persist()


@refused("Invoke unlink", "disconnected")
def _(pairing: DisturbedPairing, how: str, spell: Spell) -> None:
    """Cleanup starts the lost unlink minutes later. The test moves its due time to now."""
    pairing.click_and_scan()
    pairing.user.reaches("connected")
    pairing.system.aws.disturb("Invoke unlink", how, **spell)
    assert pairing.user.disconnect().json()["status"] == "disconnected"
    time.sleep(spell.get("seconds", 0))
    pairing.system.query("UPDATE whatsapp_private.devices SET unlink_due_at = now() WHERE state = 'unlinking'")
    pairing.system.clean()


@case(GROUP, "a verdict's SendTaskFailure fails for 15 s", "error: passkey_required", runs=2)
def _(pairing: DisturbedPairing) -> None:
    pairing.system.sandbox.set_knobs(passkey=True)
    while_shown(pairing)
    with pairing.system.aws.disturbed("SendTaskFailure", "500", seconds=15):
        pairing.scan(pairing.seen[-1])
        pairing.user.reaches("error", 30)


@case(GROUP, "every SendTaskSuccess is accepted and lost")
def _(pairing: DisturbedPairing) -> None:
    with pairing.system.aws.disturbed("SendTaskSuccess", "lost"):
        pairing.click()
        pairing.persist()


@case(GROUP, "every SendTaskHeartbeat is accepted and lost for 15 s")
def _(pairing: DisturbedPairing) -> None:
    while_shown(pairing)
    with pairing.system.aws.disturbed("SendTaskHeartbeat", "lost"):
        time.sleep(15)
        pairing.persist()


@case(GROUP, "SendTaskFailure is accepted and lost", CANCELLED)
def _(pairing: DisturbedPairing) -> None:
    while_shown(pairing)
    with pairing.system.aws.disturbed("SendTaskFailure", "lost"):
        assert pairing.user.disconnect().json()["status"] == "disconnected"


@case(GROUP, "the linker's start is accepted and lost")
def _(pairing: DisturbedPairing) -> None:
    with pairing.system.aws.disturbed("Invoke linker", "lost", calls=1):
        pairing.click()
        pairing.persist()


@case(GROUP, "every start of a linker is accepted and lost", "error: linker_failed", kind=HASTY)
def _(pairing: DisturbedPairing) -> None:
    pairing.system.aws.disturb("Invoke linker", "lost")
    pairing.click()
    pairing.user.reaches("error", 30)


for _call in ("SendTaskSuccess", "Invoke linker", "StartExecution"):

    @case(GROUP, f"every {_call} comes 4 s late")
    def _(pairing: DisturbedPairing, call: str = _call) -> None:
        with pairing.system.aws.disturbed(call, "late"):
            until("a click that helps", lambda: _clicked(pairing), 60, every=0.5)
            pairing.persist()
