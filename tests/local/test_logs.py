"""The logs of a run stay bounded while it goes on."""

from __future__ import annotations

from pathlib import Path

from infra.local.logs import shorten


def test_a_long_log_goes_on_in_an_empty_file(tmp_path: Path) -> None:
    log = tmp_path / "linker.log"
    with log.open("ab", buffering=0) as writer:  # as a function's process has it
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
