"""In any shell, the local system becomes ready or explains in one sentence why it cannot."""

from __future__ import annotations

import importlib.util
import os
import pwd
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.children import ChildGuard
from infra.errors import ToolError
from infra.local.environment import FOR_THE_REAL_WHATSAPP, clean, for_the_real_whatsapp
from infra.postgres import account, binaries
from infra.postgres import server as server_module
from infra.postgres.account import SystemAccount
from infra.postgres.server import EmbeddedPostgres
from tests.tools.local.hostile_environments import CLOSED, ONCE_BROKEN, VARIABLES
from tests.tools.local.started_runner import PLAIN, click_connect, fixture, shows_a_qr, started

ROOTS = pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by Postgres")
EVERYTHING = {name: value for variables in VARIABLES.values() for name, value in variables.items()}


def test_one_list_names_the_variables_taken_from_the_caller() -> None:
    environ = {"PATH": "/bin", "HOME": "/home/me", **EVERYTHING}
    before = dict(environ)

    assert clean(environ) == before
    assert set(environ) == {
        *("PATH", "HOME", "TMPDIR"),
        *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"),
    }
    assert environ["AWS_CONFIG_FILE"] == os.devnull


def test_a_pairing_works_with_everything_exported_at_once(tmp_path: Path) -> None:
    with started(tmp_path / "data", PLAIN | EVERYTHING) as start:
        assert start.url is not None, start.said
        assert "DATABASE_URL is set but not used" in start.said
        assert shows_a_qr(start.url)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in ONCE_BROKEN else [pytest.mark.slow]) for name in VARIABLES]
)
def test_each_environment_becomes_ready(name: str, tmp_path: Path) -> None:
    with started(tmp_path / "data", PLAIN | VARIABLES[name], *fixture(tmp_path)) as start:
        assert start.url is not None, start.said
        assert "Traceback" not in start.said


@pytest.mark.slow
@pytest.mark.parametrize(
    "shell",
    ["umask 077", "umask 0", "ulimit -n 1024", "exec <&-", "exec 2>&-", "trap '' INT HUP TERM; trap - TERM"],
)
def test_each_way_to_start_becomes_ready(shell: str, tmp_path: Path) -> None:
    with started(tmp_path / "data", PLAIN, *fixture(tmp_path), shell=shell) as start:
        assert start.url is not None, start.said


@pytest.mark.parametrize("environment", [{}, {"PATH": "/nowhere"}], ids=["nothing", "no program on the PATH"])
def test_an_empty_environment_becomes_ready(environment: dict[str, str], tmp_path: Path) -> None:
    with started(tmp_path / "data", environment, *fixture(tmp_path)) as start:
        assert start.url is not None, start.said


def test_a_hangup_that_is_ignored_at_the_start_stays_ignored(tmp_path: Path) -> None:
    with started(tmp_path / "data", PLAIN, *fixture(tmp_path), shell="trap '' HUP") as start:
        status = Path(f"/proc/{start.pid}/status").read_text()
        ignored = int(status.partition("SigIgn:")[2].split()[0], 16)

        assert ignored & 1 << (signal.SIGHUP - 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--port", "99999"), "'99999' is not a port: 0 to 65535"),
        (("--port", "-1"), "'-1' is not a port"),
        (("--port", "9" * 5000), "is not a port"),
        (("--port", "http"), "'http' is not a port"),
        (("--qr-seconds", "soon"), "'soon' is not a number of seconds"),
        (("--auth-seconds", "0"), "'0' is not a number of seconds"),
        (("--auth-seconds", "14"), "parameter AuthTimeoutSeconds does not take '14': 15 or more"),
        (("--database-url", ""), "argument --database-url: The database's URL is empty"),
        (("--data-dir", " "), "argument --data-dir: it is empty"),
        (("--host", "nowhere.invalid"), "cannot listen on nowhere.invalid"),
        (("--host", "192.0.2.1"), "cannot listen on 192.0.2.1"),
        (("--host", "x" * 300), "cannot listen on"),
        (("--data-dir", "/dev/null"), "cannot use the data directory /dev/null"),
        (("--data-dir", "/proc/nowhere"), "cannot use the data directory /proc/nowhere"),
        (("--template", "/"), "cannot read the template /"),
    ],
)
def test_a_wrong_option_is_explained_in_a_sentence(arguments: tuple[str, str], words: str, tmp_path: Path) -> None:
    with started(tmp_path / "data", PLAIN, *arguments) as start:
        assert start.url is None
        assert words in start.said
        assert "Traceback" not in start.said


def test_the_real_whatsapp_gets_the_callers_proxy_and_cas() -> None:
    found = {"HTTPS_PROXY": CLOSED, "SSL_CERT_FILE": "/corporate.pem", "no_proxy": "intern.example", "HOME": "/"}

    assert for_the_real_whatsapp(found) == {
        "HTTPS_PROXY": CLOSED,
        "SSL_CERT_FILE": "/corporate.pem",
        "NO_PROXY": "intern.example,127.0.0.1,::1,localhost",
        "no_proxy": "intern.example,127.0.0.1,::1,localhost",
    }
    assert set(for_the_real_whatsapp({})) == {"NO_PROXY", "no_proxy"} < FOR_THE_REAL_WHATSAPP


def test_the_engine_asks_the_callers_proxy_for_the_real_whatsapp(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(120)
        environment = PLAIN | {
            "HTTPS_PROXY": f"http://127.0.0.1:{proxy.getsockname()[1]}",
            "no_proxy": "intern.example",
        }
        with started(tmp_path / "data", environment, "--live") as start:
            assert start.url is not None, start.said
            click_connect(start.url)
            asked, _ = proxy.accept()
            with asked:
                assert asked.recv(1024).startswith(b"CONNECT web.whatsapp.com:443 ")


@pytest.fixture
def guard() -> Iterator[ChildGuard]:
    """A guard process that ends with the test."""
    guard = ChildGuard()
    yield guard
    guard.close()


@ROOTS
def test_root_changes_the_mode_of_its_own_folders_only(
    open_folder: Path, guard: ChildGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "PLACE", open_folder / "place")
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    before = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in (home, *home.parents)}
    users = {entry.pw_name for entry in pwd.getpwall()}
    server = EmbeddedPostgres(home / "postgres", home / "log", guard)

    try:
        server.start()
        assert (home / "postgres").resolve().parent == open_folder / "place"
    finally:
        server.stop()
    again = server.start()
    server.stop()

    assert again
    assert {folder: stat.S_IMODE(folder.stat().st_mode) for folder in before} == before
    assert {entry.pw_name for entry in pwd.getpwall()} == users


@ROOTS
def test_root_runs_postgres_from_a_package_of_root_only(
    open_folder: Path, guard: ChildGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "PLACE", open_folder / "place")
    hidden = open_folder / "hidden $HOME"
    _install(hidden, monkeypatch)
    hidden.chmod(0o700)
    server = EmbeddedPostgres(open_folder / "postgres", open_folder / "log", guard)

    try:
        server.start()
        assert server.binaries.is_relative_to(open_folder / "place")
    finally:
        server.stop()


def test_a_path_that_initdb_refuses_is_named(
    open_folder: Path, guard: ChildGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "account_for", lambda _: SystemAccount())
    _install(open_folder / "worth $1", monkeypatch)
    server = EmbeddedPostgres(open_folder / "postgres", open_folder / "log", guard)

    with pytest.raises(ToolError, match=r"Move the project, or give the local system a database"):
        server.start()


@ROOTS
def test_a_user_id_without_a_name_gets_instructions(
    tmp_path: Path, guard: ChildGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "account_for", lambda _: SystemAccount(54321, 54321))
    monkeypatch.setattr(account, "PLACE", tmp_path / "place")
    server = EmbeddedPostgres(tmp_path / "postgres", tmp_path / "log", guard)

    with pytest.raises(ToolError, match="the user id 54321, which has no entry in /etc/passwd"):
        server.start()


@ROOTS
def test_root_without_the_setuid_right_gets_an_explanation(tmp_path: Path) -> None:
    lonely = "unshare --user --map-root-user sh -c"
    if subprocess.run(["/bin/sh", "-c", f"{lonely} true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed on this machine")
    with started(
        tmp_path / "data", PLAIN, *fixture(tmp_path), shell=f"""exec {lonely} 'exec "$@"' sh "$@" """
    ) as start:
        assert start.url is None
        assert "may start no program as nobody" in start.said
        assert "Traceback" not in start.said


def _install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the package of Postgres is installed in this folder."""
    wheel = importlib.util.find_spec(binaries.WHEEL)
    assert wheel is not None
    assert wheel.origin is not None
    folder.mkdir()
    for part in (binaries.WHEEL, f"{binaries.WHEEL}.libs"):
        (folder / part).symlink_to(Path(wheel.origin).parents[1] / part)
    origin = str(folder / binaries.WHEEL / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: SimpleNamespace(origin=origin))


def test_a_machine_without_ipv4_localhost_shows_a_qr(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("::1 localhost\n")
    view = f"unshare --mount sh -c 'mount --bind {hosts} /etc/hosts"
    if subprocess.run(["/bin/sh", "-c", f"{view}'"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not change what a process sees of /etc")
    shell = f"""exec {view}; exec "$@"' sh "$@" """
    with started(tmp_path / "data", PLAIN, shell=shell) as start:
        assert start.url is not None, start.said
        assert shows_a_qr(start.url)
