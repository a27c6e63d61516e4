"""The embedded Postgres: kills at a bad moment, foreign folders, and messages that say what is wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from infra.children import ChildGuard
from infra.errors import ToolError
from infra.ports import free_port
from infra.postgres.server import ENVIRONMENT, EmbeddedPostgres
from tests.support.stack import ROOT
from tests.tools.local.fixture_runner import eventually
from tests.tools.local.started_runner import COMMAND


@pytest.fixture
def server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that was not started yet."""
    guard = ChildGuard()
    server = EmbeddedPostgres(open_folder / "postgres", open_folder / "log", guard)
    yield server
    server.stop()
    guard.close()


def test_a_start_after_a_killed_initdb_works(open_folder: Path, server: EmbeddedPostgres) -> None:
    half = open_folder / "postgres.new"
    runner = subprocess.Popen(
        [*COMMAND, "--whatsapp", "sandbox", "--data-dir", str(open_folder)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    eventually((half / "PG_VERSION").exists, "half a database")
    family = psutil.Process(runner.pid).children(recursive=True)
    for process in (runner, *family):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    runner.wait()
    eventually(lambda: not any(one.is_running() for one in family), "end of the children")
    assert half.is_dir()

    with psycopg.connect(server.start()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    assert not half.exists()


def test_a_taken_port_is_replaced_by_a_free_one(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = free_port()
        ports = iter([other.getsockname()[1], free])
        monkeypatch.setattr("infra.postgres.server.free_port", lambda: next(ports))
        with psycopg.connect(server.start()) as connection:
            assert connection.info.port == free


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by Postgres")
def test_a_folder_of_root_is_named(open_folder: Path, server: EmbeddedPostgres) -> None:
    (open_folder / "postgres").mkdir()
    (open_folder / "postgres" / "PG_VERSION").touch()

    with pytest.raises(ToolError, match="belongs to root, but Postgres refuses to run as root"):
        server.start()


def test_an_empty_folder_becomes_a_database(open_folder: Path, server: EmbeddedPostgres) -> None:
    (open_folder / "postgres").mkdir()

    psycopg.connect(server.start()).close()


def test_a_missing_database_ends_the_start_at_once(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.url("template1"), autocommit=True) as connection:
        connection.execute("drop database postgres")
    server.stop()

    with pytest.raises(ToolError, match='database "postgres" does not exist'):
        server.start()


def test_a_folder_that_is_no_database_is_named(open_folder: Path, server: EmbeddedPostgres) -> None:
    (open_folder / "postgres").mkdir()
    (open_folder / "postgres" / "holiday.jpg").touch()
    if os.geteuid() == 0:
        os.chown(open_folder / "postgres", 65534, 65534)

    with pytest.raises(ToolError, match=f"{open_folder}/postgres"):
        server.start()


def test_a_running_postgres_of_another_program_is_left_alone(open_folder: Path, server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    data = open_folder / "postgres"
    owner = data.stat().st_uid
    other = subprocess.Popen(
        [str(server.binaries / "postgres"), "-D", ".", "-p", str(server.port), "-c", "unix_socket_directories="],
        cwd=data, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        user=owner if os.geteuid() == 0 else None,
    )  # fmt: skip
    try:
        url = server.url()
        eventually(lambda: _answers(url), "the other server")
        lock = (data / "postmaster.pid").read_text()

        with pytest.raises(ToolError, match=f"Is another postmaster .PID {other.pid}. running"):
            server.start()

        assert (data / "postmaster.pid").read_text() == lock
        assert _answers(url)
    finally:
        other.send_signal(signal.SIGINT)
        other.wait(60)


def test_a_start_removes_a_stale_lock(open_folder: Path, server: EmbeddedPostgres) -> None:
    server.start()
    lock = open_folder / "postgres" / "postmaster.pid"
    words = lock.read_text().split("\n", 1)[1]
    server.stop()
    lock.write_text(f"{os.getpid()}\n{words}")
    if os.geteuid() == 0:
        os.chown(lock, *(lock.parent.stat().st_uid, lock.parent.stat().st_gid))

    psycopg.connect(server.start()).close()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
