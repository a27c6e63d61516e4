"""PgBouncer in transaction mode: clients share one server connection, and leave no lock and no setting on it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from whatsapp_pairing.core.errors import DatabaseRefused
from whatsapp_pairing.runtime.database import Connection, Database

from tests.support import pgbouncer
from tests.support.adv_secret import Secret
from tests.support.environment import CALLER
from tests.support.logins import backend, login
from tests.support.repositories import World
from tests.support.stack import PATIENCE_SECONDS, ROOT

pytestmark = pytest.mark.direct  # each test starts a PgBouncer of its own
LOCK = 20250115
SETTINGS = {
    "statement_timeout": "4s", "lock_timeout": "3s", "idle_in_transaction_session_timeout": "5s",
    "datestyle": "ISO, MDY", "row_security": "on", "default_transaction_isolation": "read committed",
    "client_connection_check_interval": "500ms",
}  # fmt: skip

# A client that hangs: it holds a lock, prints its server process, and then runs a long statement or none.
CLIENT = f"""
import sys, time
from whatsapp_pairing.runtime.database import Database

def hold(connection):
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock({LOCK})")
    connection.execute("UPDATE whatsapp_private.devices SET lease_id = lease_id")
    print(connection.execute("SELECT pg_backend_pid() AS pid").fetchone()["pid"], flush=True)
    if sys.argv[2] == "statement":
        connection.execute("SELECT pg_sleep(600)")
    time.sleep(600)

Database(lambda: sys.argv[1]).run(hold)
"""


@pytest.fixture
def url(transaction_pooler: Any, postgres: Any, world: World) -> Iterator[str]:
    """The URL of ``whatsapp_worker`` through a PgBouncer with one server connection."""
    with pgbouncer.pooling(postgres.port, default_pool_size=1) as pooler:
        yield login(pooler.url(str(psycopg.conninfo.conninfo_to_dict(world.url)["dbname"])), "whatsapp_worker")


@pytest.fixture
def clients(url: str) -> Iterator[list[Database]]:
    """Two clients of this PgBouncer."""
    clients = [Database(lambda: url) for _ in range(2)]
    yield clients
    for client in clients:
        client.close()


@pytest.mark.parametrize(("ci", "ends"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_machine_without_pgbouncer_skips_or_fails(
    monkeypatch: pytest.MonkeyPatch, ci: str, ends: type[BaseException]
) -> None:
    monkeypatch.setattr(pgbouncer, "_PROGRAM", None)
    monkeypatch.setitem(CALLER, "CI", ci)
    with pytest.raises(ends, match="apt-get install pgbouncer"):
        pgbouncer.require()


def advisory_locks(world: World) -> int:
    found: int = world.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s", LOCK)
    return found


def lock(connection: Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid() AS pid, pg_advisory_xact_lock(%s)", (LOCK,)).fetchone()
    assert row is not None
    pid: int = row["pid"]
    return pid


def test_all_clients_have_the_roles_settings(clients: list[Database]) -> None:
    def show(connection: Connection) -> dict[str, str]:
        query = "SELECT name, current_setting(name) AS value FROM unnest(%s::text[]) AS name"
        return {row["name"]: row["value"] for row in connection.execute(query, (list(SETTINGS),))}

    for client in clients:
        assert {name.lower(): value for name, value in client.run(show).items()} == SETTINGS
    assert clients[0].run(backend) == clients[1].run(backend)


def test_an_advisory_lock_ends_with_its_call(world: World, clients: list[Database]) -> None:
    first, second = clients
    pid = first.run(lock)
    assert advisory_locks(world) == 0
    assert second.run(backend) == pid
    assert world.value("SELECT pg_try_advisory_xact_lock(%s)", LOCK)  # another session can take the lock


def test_an_advisory_lock_ends_with_a_call_that_fails(world: World, clients: list[Database]) -> None:
    first, second = clients
    with pytest.raises(DatabaseRefused):
        first.run(lambda connection: connection.execute("SELECT pg_advisory_xact_lock(%s), 1 / 0", (LOCK,)))
    assert advisory_locks(world) == 0
    assert second.run(lock) == first.run(lock)


def test_a_setting_of_one_text_does_not_reach_the_next_client(clients: list[Database]) -> None:
    first, second = clients
    first.run_text("BEGIN; SET LOCAL statement_timeout = '1s'; SELECT 1; COMMIT; SELECT 1 AS one", {})
    with pytest.raises(DatabaseRefused):
        first.run_text("BEGIN; SET LOCAL statement_timeout = '1s'; SELECT 1 / 0; COMMIT", {})
    shown = second.run(lambda connection: connection.execute("SHOW statement_timeout").fetchone())
    assert shown == {"statement_timeout": "4s"}


@pytest.mark.parametrize("doing", ["statement", "transaction"])
def test_a_killed_client_leaves_no_lock_and_no_answer(
    world: World, url: str, clients: list[Database], doing: str
) -> None:
    secret, user = Secret(), world.user()
    world.link(user, secret)
    world.attempts.disconnect(user)
    pid = killed_while(doing, url, world)

    assert clients[0].run(lambda connection: connection.execute("SELECT 'mine' AS it").fetchone()) == {"it": "mine"}
    wait_until(lambda: advisory_locks(world) == 0)  # the role's statement_timeout ends the statement
    assert clients[0].run(lock) != pid
    assert clients[1].run(
        lambda connection: connection.execute("UPDATE whatsapp_private.devices SET lease_id = id").rowcount == 1
    )
    assert world.bound(secret)["lease_id"] == world.bound(secret)["id"]
    assert not world.sql("SELECT pid FROM pg_stat_activity WHERE pid = %s", pid)


def killed_while(doing: str, url: str, world: World) -> int:
    """Start a client, kill it in the middle of a statement or a transaction, and return its server process.

    On a very slow machine, the statement's time limit may end it before the test sees it. Then start another client.
    """
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, url, doing],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT / "layers" / "shared")},
    )
    with client:
        assert client.stdout is not None
        pid = int(client.stdout.readline())
        sleeping = "SELECT pid FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
        if doing == "statement":
            wait_until(lambda: world.sql(sleeping, pid) or client.poll() is not None)
        seen = doing != "statement" or world.sql(sleeping, pid)
        client.send_signal(signal.SIGKILL)
    return pid if seen else killed_while(doing, url, world)


def wait_until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, "the condition does not come true"
        time.sleep(0.02)
