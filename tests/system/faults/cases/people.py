"""Users click, scan, edit their session row and leave at bad moments."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.system.faults.cases.processes import STEPS, while_shown
from tests.system.faults.disturbed_pairing import DisturbedPairing
from tests.system.faults.disturbed_system import until
from tests.system.faults.suite import case

GROUP = "people"
CANCELLED = "disconnected: cancelled"


@case(GROUP, "ten clicks at once", runs=2)
def _(pairing: DisturbedPairing) -> None:
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: pairing.user.connect(), range(10)))
    assert sorted(answer.status for answer in answers) == [200] * 9 + [202]
    assert len({answer.json()["attempt"]["id"] for answer in answers}) == 1
    pairing.persist()


@case(GROUP, "connect, disconnect, connect in a second", runs=2)
def _(pairing: DisturbedPairing) -> None:
    pairing.click()
    assert pairing.user.disconnect().json()["status"] == "disconnected"
    early = pairing.user.connect()
    assert early.status == 429
    assert 1 <= int(early.headers["Retry-After"]) <= 5
    until("the next attempt", lambda: pairing.user.connect().status == 202, 8, every=0.2)
    pairing.persist()


def _disconnected(step: str) -> None:
    @case(GROUP, f"disconnect {step}", CANCELLED, runs=3)
    def _(pairing: DisturbedPairing) -> None:
        STEPS[step](pairing)
        assert pairing.user.disconnect().json()["status"] == "disconnected"


for _step in STEPS:
    if _step != "at the scan":
        _disconnected(_step)


@case(GROUP, "disconnect at the scan", CANCELLED, "disconnected", runs=4)
def _(pairing: DisturbedPairing) -> None:
    """The disconnect may come before or after the end of the pairing."""
    pairing.click_and_scan()
    pairing.pause(0.3)
    assert pairing.user.disconnect().json()["status"] == "disconnected"


@case(GROUP, "two browsers: one scans, one disconnects", "connected", "disconnected", CANCELLED, runs=4)
def _(pairing: DisturbedPairing) -> None:
    other = pairing.system.stack.user(pairing.user.id)
    pairing.click()
    assert other.connect().status == 200
    qr = pairing.qr()
    with ThreadPoolExecutor(2) as threads:
        threads.submit(pairing.scan, qr)
        pairing.pause(0.2)
        threads.submit(other.disconnect)


@case(GROUP, "two phones scan one QR", runs=2)
def _(pairing: DisturbedPairing) -> None:
    pairing.click()
    qr = pairing.qr()
    second = pairing.system.number()
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda number: pairing.user.scan(qr, number), (pairing.number, second)))
    assert sorted(answer.status for answer in answers) == [200, 404]


@case(GROUP, "status polled at 50 Hz")
def _(pairing: DisturbedPairing) -> None:
    pairing.click()
    with ThreadPoolExecutor(1) as threads:
        polled = threads.submit(pairing.user.wait, 60, "end", lambda status: status.get("status") == "connected", 0.02)
        pairing.persist()
        polled.result()


@case(GROUP, "the row is edited by its owner while the QR shows")
def _(pairing: DisturbedPairing) -> None:
    while_shown(pairing)
    pairing.system.query(
        "UPDATE public.whatsapp_sessions SET session_status = 'connected', phone_number = '34999999999'",
        user=pairing.user.id,
    )
    assert pairing.user.connect().status == 200
    pairing.scan(pairing.seen[-1])
    pairing.user.wait(20, "truth", lambda status: status.get("phoneNumber") == pairing.number)


@case(GROUP, "the row is deleted by its owner while the QR shows")
def _(pairing: DisturbedPairing) -> None:
    while_shown(pairing)
    pairing.system.query("DELETE FROM public.whatsapp_sessions", user=pairing.user.id)
    pairing.scan(pairing.seen[-1])
    pairing.user.reaches("connected")


@case(GROUP, "the row is deleted by its owner between scan and login")
def _(pairing: DisturbedPairing) -> None:
    STEPS["between scan and login"](pairing)
    pairing.system.query("DELETE FROM public.whatsapp_sessions", user=pairing.user.id)
    pairing.user.reaches("connected")


def _deleted(step: str) -> None:
    @case(GROUP, f"the user is deleted {step}", "disconnected", runs=2)
    def _(pairing: DisturbedPairing) -> None:
        STEPS[step](pairing)
        pairing.system.query("DELETE FROM auth.users WHERE id = %s", pairing.user.id)
        until("idle linkers", lambda: not pairing.system.busy("linker"))
        if step != "while the QR shows":
            # Cleanup leaves a device alone for four minutes, because its QR may still be scanned.
            pairing.system.query(
                "UPDATE whatsapp_private.devices SET created_at = now() - interval '5 minutes' WHERE user_id IS NULL"
            )
            until("cleanup's turn", lambda: pairing.system.clean()["unlinks_started"], every=1)
        pairing.system.stack.user(pairing.user.id)  # signs up again, so that the user of the next click exists


for _step in ("while the QR shows", "between scan and login"):
    _deleted(_step)


@case(GROUP, "a deleted user clicks", "disconnected")
def _(pairing: DisturbedPairing) -> None:
    """A token stays valid for up to an hour after its user was deleted."""
    pairing.system.query("DELETE FROM auth.users WHERE id = %s", pairing.user.id)
    answer = pairing.user.connect()
    assert (answer.status, answer.json()["error"]) == (401, "unauthorized")
    pairing.system.stack.user(pairing.user.id)
