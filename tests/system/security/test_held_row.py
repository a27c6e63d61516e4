"""A user holds a lock on the own session row. No call waits for it, and other users keep their connections."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from whatsapp_pairing.cleanup import Cleaning
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.pairing.disconnect import disconnect
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime.database import Database
from whatsapp_pairing.session.sessions import Sessions

from tests.support import pgbouncer
from tests.support.adv_secret import Secret
from tests.support.databases import WAYS
from tests.support.logins import act_as, login
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, WINDOW, World

# Statements by which a user may lock the own session row through Supabase's API.
HELD = {
    "updated": "UPDATE public.whatsapp_sessions SET qr_code = 'mine'",
    "locked": "SELECT FROM public.whatsapp_sessions FOR UPDATE",
    "deleted": "DELETE FROM public.whatsapp_sessions",
    "inserted": "INSERT INTO public.whatsapp_sessions (user_id) VALUES (auth.uid())",
}
# The backends that wait for this one, directly or through others.
WAITING = """
WITH RECURSIVE behind AS (
  SELECT %s::int AS pid, '' AS query
  UNION SELECT a.pid, a.query FROM behind, pg_stat_activity a WHERE behind.pid = ANY (pg_blocking_pids(a.pid))
)
SELECT query FROM behind WHERE query <> ''
"""
# The pool of the smallest Supabase project.
CONNECTIONS, CALLS = 15, 30


@contextmanager
def held(world: World, user: UUID, how: str) -> Iterator[int]:
    """Lock the user's session row in an open transaction. Yield the pid of its backend."""
    world.sql("DELETE FROM public.whatsapp_sessions WHERE user_id = %s", user)
    if how != "inserted":
        world.sql("INSERT INTO public.whatsapp_sessions (user_id) VALUES (%s)", user)
    with psycopg.connect(world.url) as connection:
        act_as(connection, json.dumps({"sub": str(user), "role": "authenticated"}))
        assert connection.execute(HELD[how].encode()).rowcount == 1
        (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        yield pid
        connection.rollback()


class Waiting:
    """Reads Postgres's locks all the time.

    Attributes
    ----------
    queries : set of str
        The queries that waited for the backend.
    most : int
        How many calls waited for the backend at the same moment, at most.
    """

    def __init__(self, url: str, pid: int) -> None:
        self.queries: set[str] = set()
        self.most = 0
        self._pid = pid
        self._over = threading.Event()
        self._connection = psycopg.connect(url, autocommit=True)
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Waiting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            found = [query for (query,) in self._connection.execute(WAITING, (self._pid,))]
            self.queries.update(found)
            self.most = max(self.most, len(found))


def every_call(world: World, user: UUID, name: str) -> None:
    """Click, link a phone, disconnect, and run cleanup."""
    workflow, secret, jid = RecordedWorkflow(), Secret(name), f"52155500{len(name)}:1@s.whatsapp.net"
    assert connect(user, WINDOW, LIMIT, world.services(workflow))
    attempt = world.last(user)
    assert attempt is not None
    world.open_auth(attempt.id)
    lease = world.lease(attempt.id)
    shown = world.show(attempt.id, lease, secret)
    assert shown is not None
    world.session_rows.write(user, shown.version)
    assert world.sessions.get(user).qr == secret.text()
    world.store_keys(secret, jid)
    assert world.leases.scanned(attempt.id, lease, jid)
    connected = world.leases.connected(attempt.id, lease, jid)
    assert connected is not None
    world.session_rows.write(user, connected.attempt.version)
    assert world.sessions.get(user).status == "connected"
    assert disconnect(user, world.services(workflow))
    assert world.sessions.get(user).status == "disconnected"
    Cleaning(world.services(workflow), world.sweeps, lambda: 120.0).run()


@pytest.mark.parametrize("way", WAYS, indirect=True, scope="session")
@pytest.mark.parametrize("how", HELD)
def test_no_call_waits_for_a_row_that_its_user_holds(world: World, postgres: Any, how: str) -> None:
    """An insert must wait for a concurrent insert of the same key.

    So only the write of the session row waits, for 0.3 s.
    """
    user, other = world.user(), world.user()
    direct = postgres.url(conninfo_to_dict(world.url)["dbname"])
    with held(world, user, how) as pid, Waiting(direct, pid) as waiting:
        every_call(world, user, "held")
        every_call(world, other, "other")
    row = world.row(other)
    assert row is not None
    assert row["session_status"] == "disconnected"
    assert all(how == "inserted" and "show_session_v1" in query for query in waiting.queries)
    assert waiting.most <= 1

    world.sql("UPDATE whatsapp_private.sessions SET show_due_at = now()")
    Cleaning(world.services(RecordedWorkflow()), world.sweeps, lambda: 120.0).run()
    assert world.value("SELECT count(*) FROM whatsapp_private.sessions WHERE behind") == 0


@pytest.mark.parametrize("how", HELD)
def test_parallel_calls_of_one_user_leave_connections(
    world: World, postgres: Any, transaction_pooler: object, how: str
) -> None:
    """Several calls want to insert the row. One waits for the user's own insert, and the others skip the row."""
    user, other, workflow = world.user(), world.user(), RecordedWorkflow()
    world.link(user, Secret())  # so that each click writes the session row
    name = str(conninfo_to_dict(world.url)["dbname"])
    with (
        pgbouncer.pooling(postgres.port, default_pool_size=CONNECTIONS) as pooler,
        held(world, user, how) as pid,
        Waiting(postgres.url(name), pid) as waiting,
        ThreadPoolExecutor(CALLS) as people,
    ):
        url = login(pooler.url(name), "whatsapp_api")
        databases = [Database(lambda: url) for _ in range(CALLS + 1)]
        ready = threading.Barrier(CALLS + 1)

        def services(database: Database) -> Services:
            return Services(Attempts(database), SessionRows(database), workflow)

        def click(database: Database) -> bool:
            ready.wait()
            return connect(user, WINDOW, LIMIT, services(database))

        try:
            calls = [people.submit(click, database) for database in databases[1:]]
            ready.wait()
            others = services(databases[0])
            assert connect(other, WINDOW, LIMIT, others)
            assert Sessions(databases[0]).get(other).status == "connecting"
            assert disconnect(other, others)
            assert [call.result() for call in calls] == [False] * CALLS
        finally:
            for database in databases:
                database.close()
    assert waiting.most <= (1 if how == "inserted" else 0)
