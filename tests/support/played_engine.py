"""Lets the test of a handler choose what the engine reports."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from whatsapp_pairing.core.engine import Died, Event


class Played:
    """An engine that reports the given events, calls the given functions, and remembers its tasks."""

    def __init__(self, *steps: Event | Callable[[], object]) -> None:
        self.steps, self.asked, self.closed = list(steps), [], 0  # type: ignore[var-annotated]

    def __call__(self, database_url: Callable[[], str], proxy: Callable[[], str] | None) -> Played:
        assert proxy is None
        assert database_url().startswith("postgresql://whatsapp_engine@")
        return self

    def pair(self, until: float) -> Played:  # noqa: ARG002
        self.asked.append("pair")
        return self

    def resume(self, jid: str, until: float) -> Played:  # noqa: ARG002
        self.asked.append(f"resume {jid}")
        return self

    def log_out(self, jid: str, until: float) -> Played:  # noqa: ARG002
        self.asked.append(f"log out {jid}")
        return self

    def next_event(self, timeout: float) -> Event | None:
        assert timeout > 0
        step = self.steps.pop(0) if self.steps else Died("nothing more to say")
        if callable(step):
            step()
            return None
        return step

    def live_until(self, moment: float) -> None:
        assert moment > 0

    def __enter__(self) -> Played:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closed += 1
