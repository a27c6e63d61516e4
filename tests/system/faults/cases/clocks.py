"""The functions' clock is five minutes wrong. The windows follow the database's clock, so they keep their length."""

from __future__ import annotations

import time

from tests.system.faults.cases.processes import while_shown
from tests.system.faults.disturbed_pairing import DisturbedPairing
from tests.system.faults.disturbed_system import Kind, kill
from tests.system.faults.suite import case

GROUP = "time"
WINDOW = 20
WITHIN = 3.0
WINDOWS = ("--qr-seconds", str(WINDOW), "--auth-seconds", str(WINDOW))

for _seconds, _how in ((300, "ahead"), (-300, "behind")):
    _kind = Kind(WINDOWS, _seconds)
    _where = f"the functions' clock 5 minutes {_how}"

    @case(GROUP, f"{_where}: pairs", kind=_kind)
    def _(pairing: DisturbedPairing) -> None:
        pairing.click()
        assert pairing.user.connect().status == 200
        pairing.persist()

    @case(GROUP, f"{_where}: a killed linker is replaced", kind=_kind)
    def _(pairing: DisturbedPairing) -> None:
        while_shown(pairing)
        kill(pairing.system.linker())
        pairing.persist()

    @case(GROUP, f"{_where}: the next click waits its 5 s", "disconnected: cancelled", kind=_kind)
    def _(pairing: DisturbedPairing) -> None:
        pairing.click()
        pairing.user.disconnect()
        early = pairing.user.connect()
        assert (early.status, early.json()["error"]) == (429, "too_soon")
        assert 1 <= int(early.headers["Retry-After"]) <= 5

    @case(GROUP, f"{_where}: no QR in {WINDOW} s", "error: qr_timeout", kind=_kind)
    def _(pairing: DisturbedPairing) -> None:
        pairing.system.sandbox.set_knobs(silent="handshake")
        pairing.click()
        _ends_after_a_window(pairing)

    @case(GROUP, f"{_where}: no scan in {WINDOW} s", "error: scan_timeout", kind=_kind)
    def _(pairing: DisturbedPairing) -> None:
        pairing.click()
        pairing.qr()
        _ends_after_a_window(pairing)


def _ends_after_a_window(pairing: DisturbedPairing) -> None:
    began = time.monotonic()
    pairing.end()
    took = time.monotonic() - began
    assert abs(took - WINDOW) < WITHIN, f"{took:.1f} s"
