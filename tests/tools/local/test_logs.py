"""The logs stay small during a run."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.local import logs
from infra.local.logs import shorten
from tests.support.stack import PATIENCE_SECONDS
from tests.tools.local.fixture_runner import FixtureRunner, eventually


def test_a_long_log_is_shortened_to_an_empty_file(tmp_path: Path) -> None:
    log = tmp_path / "linker.log"
    with log.open("ab", buffering=0) as writer:  # opened as a function's process opens it
        for _ in range(3):
            writer.write(b"x" * 100)
            shorten(log, limit=250)
        writer.write(b"the end\n")

    assert log.read_bytes() == b"the end\n"
    assert log.with_name("linker.log.old").stat().st_size == 300


def test_a_short_log_stays_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "status.log"
    log.write_bytes(b"x" * 250)
    shorten(log, limit=250)

    assert [path.name for path in tmp_path.iterdir()] == ["status.log"]


def test_logs_are_shortened_while_the_stack_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_LOG_BYTES", 250)
    log = tmp_path / "linker.log"

    async def write_and_watch() -> None:
        watch = asyncio.create_task(logs.keep_short(tmp_path))
        with log.open("ab", buffering=0) as writer:
            while not log.with_name("linker.log.old").exists():
                writer.write(b"x" * 100)
                await asyncio.sleep(0.05)
        watch.cancel()

    # In a new thread, because the browser tests leave an event loop in the main thread.
    with ThreadPoolExecutor() as threads:
        threads.submit(asyncio.run, write_and_watch()).result(PATIENCE_SECONDS)


def test_the_runner_watches_its_logs(runner: FixtureRunner) -> None:
    log = runner.data_dir / "logs" / "long.log"
    with log.open("wb") as file:
        file.truncate(logs.MAX_LOG_BYTES + 1)

    eventually(log.with_name("long.log.old").exists, "the older part of the log")
