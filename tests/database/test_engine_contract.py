"""The real engine process and the scripted engine of the tests keep the same promises to a linker."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import whatsapp_engine
from whatsapp_engine.process import ProcessEngine
from whatsapp_pairing.core.engine import Died, Engine, Reached

from tests.support.repositories import World
from tests.support.scripted_engine import Clock, ScriptedRun, Stage

OVER = Died("its time was over")
PATIENCE = 60.0

# This child process writes one event and then only sleeps.
_CHILD = """
import os, sys, time
from whatsapp_engine.lifeline import Lifeline
out, task = int(sys.argv[1]), Lifeline().task()
os.write(out, b'{"event": "reached"}\\n')
time.sleep(3600)
"""


class Scripted:
    """A scripted engine whose clock moves no times in a database."""

    def __init__(self) -> None:
        world = cast("World", SimpleNamespace(age=lambda _: None))
        self.clock, self.polls, self.open = Clock(world), 0, False
        self.closed_at: list[float] = []
        self.ended_at: list[float] = []

    def pair(self, until: float) -> ScriptedRun:
        return ScriptedRun(cast("Stage", self), [Reached()], until)


@pytest.fixture(params=["child", "script"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An engine that reports one event, and the clock that it uses."""
    if request.param == "script":
        scripted = Scripted()
        yield scripted, scripted.clock
        return
    package = tmp_path / "whatsapp_engine"
    package.mkdir()
    (package / "__init__.py").write_text(f"__path__.append({str(Path(whatsapp_engine.__file__).parent)!r})")
    (package / "child.py").write_text(_CHILD)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield ProcessEngine(), time.monotonic


Given = tuple[Engine, Callable[[], float]]


def test_an_engine_speaks_and_then_is_silent(engine: Given) -> None:
    started, clock = engine
    with started.pair(clock() + 3600) as run:
        assert run.next_event(PATIENCE) == Reached()
        assert run.next_event(0.1) is None


def test_an_engine_ends_when_its_time_is_over(engine: Given) -> None:
    started, clock = engine
    with started.pair(clock() + 3600) as run:
        assert run.next_event(PATIENCE) == Reached()
        run.live_until(clock() + 0.1)
        assert run.next_event(PATIENCE) == OVER
        assert run.next_event(PATIENCE) == OVER


def test_an_engine_that_has_ended_stays_ended(engine: Given) -> None:
    started, clock = engine
    with started.pair(clock() - 1) as run:
        assert run.next_event(PATIENCE) == OVER
        run.live_until(clock() + 3600)
        assert run.next_event(PATIENCE) == OVER


def test_an_engine_lives_longer_when_its_end_is_moved(engine: Given) -> None:
    started, clock = engine
    with started.pair(clock() + 3600) as run:
        assert run.next_event(PATIENCE) == Reached()
        run.live_until(clock() + 30)
        run.live_until(clock() + 3600)
        assert run.next_event(0.1) is None
