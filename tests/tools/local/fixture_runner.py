"""The runner with the fixture template, and calls of its functions."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests.support.stack import PATIENCE_SECONDS, Answer, RunningSystem, call

T = TypeVar("T")

TEMPLATE = Path(__file__).parent / "fixtures" / "template.yaml"
ORIGIN = "https://app.example.com"
JSON = {"content-type": "application/json"}


class FixtureRunner(RunningSystem):
    """The runner with the fixture template. Its functions write into the folder `state`."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.state = directory / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        super().__init__(
            directory / "data",
            *("--whatsapp", "live", "--template", str(TEMPLATE)),
            *("--parameter", f"StateDir={self.state}", "--parameter", f"AllowedOrigins={ORIGIN}"),
            *arguments,
        )

    def ask(self, path: str, **asked: Any) -> Answer:
        """Let the function behind `path` do something. fixtures/functions/probe lists the actions."""
        return call("POST", self.url + path, asked, JSON)

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Send a request without a body."""
        return call(method, self.url + path, headers={name.replace("_", "-"): it for name, it in headers.items()})

    def notes(self, name: str) -> list[str]:
        """The lines that functions wrote under this name."""
        file = self.state / name
        return file.read_text().splitlines() if file.exists() else []

    def let_go(self, name: str) -> None:
        """End every `do="hold"` with that name."""
        (self.state / name).touch()

    def start_execution(self, name: str, do: str, heartbeat: int = 60) -> str:
        """Start the state machine and return the execution's ARN."""
        given = {"do": do, "heartbeat": heartbeat}
        return self.ask("/probe", do="start", name=name, input=given).body.decode()

    def ended(self, arn: str) -> dict[str, Any]:
        """Wait for an execution's end."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ask("/probe", do="describe", arn=arn).json()
            return None if found["status"] == "RUNNING" else found

        return eventually(look, "the execution's end")


def eventually(look: Callable[[], T | None], what: str) -> T:
    """Repeat `look` until its result is true, and return the result."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < until, f"no {what} within {PATIENCE_SECONDS:.0f} s"
        time.sleep(0.05)
