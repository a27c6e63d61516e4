"""One person with one phone, whose pairing a case disturbs."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tests.support.stack import Answer, User
from tests.system.faults.disturbed_system import OVER, PATIENCE, DisturbedSystem


@dataclass
class DisturbedPairing:
    """One person with one phone who wants to be connected."""

    system: DisturbedSystem
    user: User
    number: str
    chance: random.Random
    seen: list[str] = field(default_factory=list, repr=False)

    def click(self) -> Answer:
        """Click "Connect". The click must start an attempt."""
        answer = self.user.connect()
        assert answer.status == 202, (answer.status, answer.body)
        return answer

    @contextlib.contextmanager
    def clicking(self) -> Iterator[Future[Answer]]:
        """Click in the background. The answer is there after the block."""
        with ThreadPoolExecutor(1) as threads:
            yield threads.submit(self.user.connect)

    def qr(self, seconds: float = PATIENCE) -> str:
        """Wait for a new QR."""
        status = self.user.wait(
            seconds, "QR", lambda status: status.get("qr") is not None and status["qr"] not in self.seen
        )
        self.seen.append(status["qr"])
        return str(status["qr"])

    def scan(self, qr: str | None = None) -> Answer:
        """Scan a QR, by default the next new one."""
        return self.user.scan(qr or self.qr(), self.number)

    def click_and_scan(self) -> None:
        """Click and scan the first QR. The phone must accept it."""
        self.click()
        answer = self.scan()
        assert answer.status == 200, (answer.status, answer.body)

    def persist(self, seconds: float = PATIENCE) -> None:
        """Scan each QR that shows until the attempt has ended. Never click."""
        deadline = time.monotonic() + seconds

        def next_step(status: dict[str, Any]) -> bool:
            return status.get("status") in OVER or bool(status.get("qr"))

        while True:
            status = self.user.wait(deadline - time.monotonic(), "QR or end", next_step)
            if status["status"] in OVER:
                return
            # The QR may vanish during the scan. Then scan the next one.
            if self.scan(status["qr"]).status != 200:
                time.sleep(0.3)

    def next_qr_is_new(self) -> None:
        """Wait until another QR shows. The QR of a lost linker must not come back, because no phone can use it."""
        old = self.seen[-1]
        self.user.wait(PATIENCE, "end of the old QR", lambda status: status.get("qr") != old)
        status = self.user.wait(PATIENCE, "another QR", lambda status: bool(status.get("qr")), every=0.005)
        assert status["qr"] != old, "an old QR has come back"

    def end(self, seconds: float = PATIENCE) -> str:
        """Wait for the final status and return it, as ``connected`` or ``error: qr_timeout``."""
        session = self.user.wait(seconds, "end", lambda status: status.get("status") in OVER)
        reason = f": {session['error']['code']}" if session["error"] else ""
        return session["status"] + reason

    def pause(self, most: float) -> None:
        """Let a random time pass, so that the fault comes at a random moment."""
        time.sleep(self.chance.uniform(0, most))

    @property
    def attempt(self) -> dict[str, Any] | None:
        """The user's last attempt, as the database has it."""
        statement = "SELECT * FROM whatsapp_private.attempts WHERE user_id = %s ORDER BY number DESC LIMIT 1"
        return next(iter(self.system.query(statement, self.user.id)), None)

    @property
    def lease(self) -> object:
        """The attempt's present lease."""
        return (self.attempt or {}).get("lease_id")

    def attempt_for_people(self) -> str:
        """The attempt as a failed run prints it, without the token."""
        attempt = self.attempt or {}
        return ", ".join(f"{name} {value}" for name, value in attempt.items() if name != "task_token")
