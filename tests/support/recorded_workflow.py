"""Records the calls to Step Functions and to the asynchronous functions, so that tests can compare them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from whatsapp_pairing.core.errors import WorkflowUnavailable
from whatsapp_pairing.runtime.settings import Settings
from whatsapp_pairing.runtime.workflow import Workflow


class RecordedWorkflow(Workflow):
    """A workflow that records each call and sends nothing.

    ``unavailable`` names the calls that fail. ``hear`` is called with each call that succeeds.
    """

    def __init__(self, unavailable: set[str] | None = None, hear: Callable[..., None] | None = None) -> None:
        super().__init__(Settings({}))
        self.unavailable = unavailable or set()
        self.calls: list[tuple[Any, ...]] = []
        self._hear = hear

    def of(self, name: str) -> list[Any]:
        """The first argument of each call with this name."""
        return [arguments[0] for called, *arguments in self.calls if called == name]

    def _record(self, name: str, *arguments: object) -> bool:
        if name in self.unavailable:
            raise WorkflowUnavailable
        self.calls.append((name, *arguments))
        if self._hear:
            self._hear(name, *arguments)
        return True

    def start(self, attempt_id: UUID) -> None:
        self._record("start", attempt_id)

    def succeed(self, token: str | None) -> bool:
        return self._record("succeed", token)

    def fail(self, token: str | None) -> bool:
        return self._record("fail", token)

    def heartbeat(self, token: str | None) -> bool:
        return self._record("heartbeat", token)

    def call_linker(self, attempt_id: UUID) -> None:
        self._record("call_linker", attempt_id)

    def call_unlinks(self, device_ids: list[UUID]) -> int:
        self._record("call_unlinks", device_ids)
        return 0
