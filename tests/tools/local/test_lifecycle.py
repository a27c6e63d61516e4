"""Start and end of the runner: what must outlive a run, what must not, and two runners at once."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from infra.errors import ToolError
from infra.local.standins.supabase_auth import SupabaseAuth
from tests.support.stack import PATIENCE_SECONDS, ROOT, call
from tests.tools.local.fixture_runner import TEMPLATE, FixtureRunner, eventually
from tests.tools.local.started_runner import PLAIN, fixture, started

USER = "6f3a1a52-6d2c-4d36-9a35-8f6f3b1c2d4e"


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[FixtureRunner]:
    """A runner of this test."""
    running = FixtureRunner(tmp_path)
    yield running
    running.stop()


def test_no_process_outlives_sigterm(stack: FixtureRunner) -> None:
    stack.ask("/probe", do="sleep", seconds=0)
    family = psutil.Process(stack.process.pid).children(recursive=True)
    assert len(family) > 5  # the guard, Postgres and its workers, instances

    assert stack.stop() == 0
    assert not _living(family)


def test_ctrl_c_soon_ends_all_processes_of_a_busy_system(stack: FixtureRunner) -> None:
    stack.start_execution("busy", "beat")
    eventually(lambda: _instance(stack, "token"), "busy function")
    family = psutil.Process(stack.process.pid).children(recursive=True)

    stack.process.send_signal(signal.SIGINT)

    assert stack.process.wait(PATIENCE_SECONDS) == 0
    assert not _living(family)


def test_a_killed_runner_leaves_nothing_and_the_next_one_starts(stack: FixtureRunner, tmp_path: Path) -> None:
    stack.ask("/probe", do="sleep", seconds=0)
    call("POST", f"{stack.url}/dev/token", {"userId": USER})
    family = psutil.Process(stack.process.pid).children(recursive=True)

    stack.process.kill()
    stack.process.wait(PATIENCE_SECONDS)

    eventually(lambda: not _living(family), "end of the children")
    again = FixtureRunner(tmp_path)
    try:
        assert call("POST", f"{again.url}/dev/token", {"userId": USER}).status == 200
    finally:
        assert again.stop() == 0


def test_a_postgres_that_was_left_behind_is_ended(stack: FixtureRunner, tmp_path: Path) -> None:
    children = psutil.Process(stack.process.pid).children()
    guard = next(one for one in children if "children.py" in " ".join(one.cmdline()))
    leftover = next(one for one in children if one.name() == "postgres")
    guard.kill()
    stack.process.kill()
    stack.process.wait(PATIENCE_SECONDS)
    assert _living([leftover])

    again = FixtureRunner(tmp_path)
    try:
        assert not _living([leftover])
    finally:
        assert again.stop() == 0


def test_another_postgres_is_used_and_left_alone(tmp_path: Path, database_url: str) -> None:
    stack = FixtureRunner(tmp_path, "--database-url", database_url)
    try:
        url = f"{database_url.replace('postgres@', 'whatsapp_api@')}?sslmode=prefer"
        assert stack.ask("/probe", do="secret").json() == {"url": url}
        assert call("POST", f"{stack.url}/dev/token", {"userId": USER}).status == 200
        names = {one.name() for one in psutil.Process(stack.process.pid).children()}
        assert "postgres" not in names
    finally:
        assert stack.stop() == 0
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select id::text from auth.users").fetchall() == [(USER,)]


def test_keys_and_data_outlive_a_run(stack: FixtureRunner, tmp_path: Path) -> None:
    keys = call("GET", f"{stack.url}/auth/v1/.well-known/jwks.json").body
    assert stack.stop() == 0

    again = FixtureRunner(tmp_path)
    try:
        assert call("GET", f"{again.url}/auth/v1/.well-known/jwks.json").body == keys
    finally:
        assert again.stop() == 0
    assert (tmp_path / "data" / "signing-key.pem").stat().st_mode & 0o077 == 0


def test_a_second_runner_explains_why_it_cannot_start(runner: FixtureRunner, tmp_path: Path) -> None:
    port = str(urlsplit(runner.url).port)
    same_data = _refused("--port", "0", "--data-dir", str(runner.data_dir))
    same_port = _refused("--port", port, "--data-dir", str(tmp_path))

    assert f"is in use by another runner (pid {runner.process.pid})" in same_data
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in same_port


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--template", "/nowhere.yaml"), "cannot read the template /nowhere.yaml"),
        (("--parameter", "Nobody=1"), "no parameter named Nobody"),
        (("--parameter", "AllowedOrigins=app.example.com"), "parameter AllowedOrigins does not take 'app.example.com'"),
        (("--database-url", "postgresql://127.0.0.1:1/x"), "the database on 127.0.0.1/x cannot be used"),
    ],
)
def test_a_runner_that_cannot_start_says_why(tmp_path: Path, arguments: tuple[str, str], words: str) -> None:
    said = _refused("--port", "0", "--data-dir", str(tmp_path), *arguments)

    assert words in said
    assert "Traceback" not in said


def _refused(*given: str) -> str:
    arguments = ("--template", str(TEMPLATE), "--parameter", "StateDir=/tmp", *given)
    done = subprocess.run(
        [sys.executable, "-m", "infra.local", "--whatsapp", "live", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


def _instance(stack: FixtureRunner, name: str) -> bool:
    instances = call("GET", f"{stack.url}/dev/functions").json()
    return any(one["name"] == name and one["busySince"] for one in instances)


def _living(family: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot read the signing key {}"),
        (_pem(rsa.generate_private_key(65537, 2048)), "the signing key {} is of another kind than ES256"),
        (_pem(ec.generate_private_key(ec.SECP384R1())), "the signing key {} is of another kind than ES256"),
        (_pem(ec.generate_private_key(ec.SECP256R1()), b"password"), "cannot read the signing key {}"),
    ],
    ids=["empty", "RSA", "P-384", "encrypted"],
)
def test_an_unusable_signing_key_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    key = tmp_path / "signing-key.pem"
    key.write_bytes(content)
    with pytest.raises(ToolError, match=re.escape(words.format(key))):
        SupabaseAuth(key, "http://127.0.0.1", "postgresql://")


def test_a_log_of_another_user_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs" / "sandbox.log").mkdir(parents=True)

    assert f"cannot write {tmp_path}/logs/sandbox.log" in _refused("--port", "0", "--data-dir", str(tmp_path))


def test_a_full_standard_output_is_explained(tmp_path: Path) -> None:
    with started(tmp_path / "data", PLAIN, *fixture(tmp_path), shell="exec >/dev/full") as start:
        assert start.url is None
    said = (tmp_path / "data.stderr").read_text()
    assert "infra.local: cannot write to standard output: No space left on device" in said
    assert "Traceback" not in said
