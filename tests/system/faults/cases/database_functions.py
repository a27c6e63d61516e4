"""A database function has changed the state, and its caller freezes or loses the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from whatsapp_pairing.pairing.attempt import HEARTBEAT_SECONDS

from tests.system.faults.cases.people import CANCELLED
from tests.system.faults.cases.processes import while_shown
from tests.system.faults.disturbed_pairing import DisturbedPairing
from tests.system.faults.disturbed_system import until
from tests.system.faults.postgres_proxy import Trap
from tests.system.faults.suite import case

GROUP = "change"
# Longer than a lease, and longer than the workflow waits for a heartbeat.
FROZEN_SECONDS = HEARTBEAT_SECONDS + 1.0

Story = Callable[[DisturbedPairing, "Trapped"], None]

_LOCKS = """
SELECT l.locktype, l.mode, a.state FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE a.client_port = %s AND l.granted
"""


class Trapped:
    """A trap for the next call of one database function."""

    def __init__(self, pairing: DisturbedPairing, function: str, freezes: bool) -> None:
        self._pairing, self._function, self._freezes = pairing, function, freezes

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Run the block, which leads to the call. Return when its caller goes on, or its answer is lost."""
        with (
            self._pairing.system.postgres_proxy.trap(self._function, self._freezes) as trap,
            ThreadPoolExecutor(1) as threads,
        ):
            watching = threads.submit(self._watch, trap)
            yield
            watching.result()

    def _watch(self, trap: Trap) -> None:
        trap.wait()
        if self._freezes:
            assert trap.pid, "nobody was frozen"
            self._check_locks(trap)
            time.sleep(FROZEN_SECONDS)
            self._check_locks(trap)
        trap.release()

    def _check_locks(self, trap: Trap) -> None:
        locks = self._pairing.system.query(_LOCKS, trap.port)
        assert locks == [], f"{self._function} is over, its caller is frozen and holds {locks}"


def clicks(pairing: DisturbedPairing, trapped: Trapped) -> None:
    """Disturb the click itself."""
    with trapped(), pairing.clicking():
        pass
    until("a click that helps", lambda: pairing.user.connect().status in (200, 202), 30, every=0.3)
    pairing.persist()


def begins(pairing: DisturbedPairing, trapped: Trapped) -> None:
    """Disturb a call that follows the click."""
    with trapped():
        pairing.click()
    pairing.persist()


def scans(pairing: DisturbedPairing, trapped: Trapped) -> None:
    """Disturb a call that follows the scan."""
    pairing.click()
    qr = pairing.qr()
    with trapped():
        pairing.scan(qr)
    pairing.persist()


def is_refused(pairing: DisturbedPairing, trapped: Trapped) -> None:
    """WhatsApp refuses the account for good."""
    pairing.system.sandbox.set_knobs(passkey=True)
    pairing.click()
    qr = pairing.qr()
    with trapped():
        pairing.scan(qr)


def is_refused_once(pairing: DisturbedPairing, trapped: Trapped) -> None:
    """WhatsApp refuses one scan, and accepts the next one."""
    pairing.system.sandbox.set_knobs(tamper="hmac", failTimes=1)
    pairing.click()
    qr = pairing.qr()
    with trapped():
        pairing.scan(qr)
    pairing.persist()


def gives_up(pairing: DisturbedPairing, trapped: Trapped) -> None:
    """The user disconnects while the QR shows."""
    while_shown(pairing)
    with trapped(), ThreadPoolExecutor(1) as threads:
        threads.submit(pairing.user.disconnect)
    until("a disconnect that helps", lambda: pairing.user.disconnect().status == 200, 30, every=0.3)


def is_cleaned(pairing: DisturbedPairing, trapped: Trapped) -> None:
    """Cleanup starts the lost unlink."""
    pairing.click_and_scan()
    pairing.user.reaches("connected")
    with pairing.system.aws.disturbed("Invoke unlink", "lost", calls=1):
        assert pairing.user.disconnect().json()["status"] == "disconnected"
    pairing.system.query("UPDATE whatsapp_private.devices SET unlink_due_at = now() WHERE state = 'unlinking'")
    with trapped(), ThreadPoolExecutor(1) as threads:
        threads.submit(pairing.system.clean)
    pairing.system.clean()


def leaves(pairing: DisturbedPairing, trapped: Trapped) -> None:
    """A connected user disconnects, and the device is unlinked."""
    pairing.click_and_scan()
    pairing.user.reaches("connected")
    with trapped():
        assert pairing.user.disconnect().json()["status"] == "disconnected"


REFUSED = "error: passkey_required"
CHANGES: dict[str, tuple[Story, str]] = {
    "claim_v1": (clicks, "connected"),
    "open_phase_v1": (begins, "connected"),
    "take_v1": (begins, "connected"),
    "show_qr_v1": (begins, "connected"),
    "renew_v1": (begins, "connected"),
    "show_session_v1": (clicks, "connected"),
    "scanned_v1": (scans, "connected"),
    "connected_v1": (scans, "connected"),
    "refuse_v1": (is_refused_once, "connected"),
    "release_v1": (is_refused, REFUSED),
    "end_v1": (is_refused, REFUSED),
    "disconnect_v1": (gives_up, CANCELLED),
    "let_go_v1": (gives_up, CANCELLED),
    "start_unlinks_v1": (is_cleaned, "disconnected"),
    "take_device_v1": (leaves, "disconnected"),
    "forget_v1": (leaves, "disconnected"),
}


def _register(function: str, story: Story, end: str) -> None:
    for freezes, name in ((True, f"a function is frozen in {function}"), (False, f"the answer of {function} is lost")):

        @case(GROUP, name, end)
        def _(pairing: DisturbedPairing, freezes: bool = freezes) -> None:
            story(pairing, Trapped(pairing, function, freezes))


for _function, (_story, _end) in CHANGES.items():
    _register(_function, _story, _end)
