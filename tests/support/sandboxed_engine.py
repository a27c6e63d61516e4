"""Fixtures: a running sandbox, and real engines that connect to it instead of WhatsApp."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from whatsapp_engine import logins as logins_module

from infra.sandbox.process import SandboxProcess
from tests.support.sandbox_client import SandboxClient

_DRIVER = Path(__file__).with_name("engine_driver.py")

Event = dict[str, Any]


class Engine:
    """The real engine in a child process, and the events that it has reported so far."""

    def __init__(self, environment: dict[str, str], log: Path, *arguments: str) -> None:
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(_DRIVER), *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.seen: list[Event] = []
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)

    def wait(self, name: str, seconds: float = 60, **fields: object) -> Event:
        """Return the next event of this name with these fields. The test fails if none comes in time."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                event = None
            if event is None:
                pytest.fail(f"no {name} {fields}; seen {self.seen}\n{self._log.read_text()[-2000:]}")
            self.seen.append(event)
            if event["event"] == name and all(event.get(key) == value for key, value in fields.items()):
                return event

    def names(self, seconds: float = 0.3) -> list[str]:
        """Return the names of all events so far, after a pause in which late events can arrive."""
        time.sleep(seconds)
        while not self._events.empty():
            if event := self._events.get():
                self.seen.append(event)
        return [event["event"] for event in self.seen]

    def qr(self) -> str:
        """Return the next QR's text."""
        return str(self.wait("qr")["text"])

    def command(self, text: str) -> None:
        """Send the engine a command."""
        assert self._process.stdin
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """Kill the process, because an unpaired engine has no other way to end."""
        self._process.kill()
        self._reader.join()
        with self._process:  # closes the pipes
            pass


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """One sandbox for all tests, except those that restart it."""
    running = SandboxProcess.start(tmp_path_factory.mktemp("sandbox"))
    yield running
    running.stop()


@pytest.fixture
def sandbox(process: SandboxProcess) -> Iterator[SandboxClient]:
    """The control of the shared sandbox, with default knobs."""
    client = SandboxClient(process.ready["control"])
    client.reset_knobs()
    yield client
    client.reset_knobs()


@pytest.fixture
def led(process: SandboxProcess, sandbox: SandboxClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let engines that this process or its children start connect to the sandbox."""
    del sandbox  # requested only for its default knobs
    environment = process.engine_environment()
    monkeypatch.syspath_prepend(environment.pop("PYTHONPATH"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def causes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The causes that are logged when the engine's database fails, or its proxy."""
    written: list[str] = []
    monkeypatch.setattr(logins_module.logger, "error", lambda _, extra: written.append(extra["why"]))
    return written


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Start engines by `start(sandbox_process, "pair")`. They share a device store, and end with the test."""
    engines: list[Engine] = []

    def start_engine(process: SandboxProcess, *arguments: str) -> Engine:
        engine = Engine(process.engine_environment(), tmp_path / "engine.log", str(tmp_path / "devices.db"), *arguments)
        engines.append(engine)
        return engine

    yield start_engine
    for engine in engines:
        engine.kill()


@pytest.fixture
def pair(process: SandboxProcess, start: Callable[..., Engine]) -> Callable[[], Engine]:
    """Start an unpaired engine on the shared sandbox."""
    return lambda: start(process, "pair")


@pytest.fixture
def number() -> str:
    """A phone number that no other test uses."""
    return f"346{time.time_ns() % 10**8:08d}"
