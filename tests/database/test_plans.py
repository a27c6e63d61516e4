"""No call that a user waits for, and no sweep, reads a whole table, so the number of users does not slow them down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from whatsapp_pairing.cleanup import Cleaning, Sweeps, count_only
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.keeper.devices import Devices
from whatsapp_pairing.pairing.attempt import Phase
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.pairing.disconnect import disconnect
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime.database import Connection, Database
from whatsapp_pairing.session.sessions import Sessions

from tests.support.adv_secret import Secret
from tests.support.logins import connect as administer
from tests.support.many_rows import fill
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, WINDOW, World, entered

USERS, STALE = 50_000, 500
BIG = "('users', 'attempts', 'devices', 'sessions', 'whatsapp_sessions', 'whatsmeow_device')"
JID = "5215559999:1@s.whatsapp.net"
Work = Callable[[World, Database], object]


# Each connected user gets an older attempt. Some are old enough for cleanup to delete them. Some users also get an
# offered device without a live attempt.
_OLD = """
INSERT INTO whatsapp_private.attempts (id, user_id, number, started_at, deadline, ended_at, outcome, superseded)
SELECT gen_random_uuid(), a.user_id, -a.n, at, at, at, 'cancelled', true
FROM (SELECT user_id, row_number() OVER () AS n FROM whatsapp_private.attempts WHERE outcome = 'connected') a,
  LATERAL (SELECT now() - make_interval(days => CASE WHEN a.n <= {stale} THEN 100 ELSE 50 END) AS at) t;
INSERT INTO whatsapp_private.devices (user_id, attempt_id, fingerprint)
SELECT a.user_id, a.id, sha256(a.id::text::bytea) FROM whatsapp_private.attempts a WHERE a.superseded
ORDER BY a.ended_at DESC LIMIT {stale};
"""


@pytest.fixture(scope="module")
def crowd(postgres: Any, migrated_template: str) -> Iterator[World]:
    """A database with 50 000 users."""
    with postgres.database(migrated_template) as url, administer(url) as admin:
        world = World(url, admin)
        fill(world, USERS, STALE)
        world.sql(_OLD.format(stale=STALE))
        for table in ("attempts", "devices"):
            world.sql(f"VACUUM ANALYZE whatsapp_private.{table}")
        yield world
        world.close()


def a_user(world: World) -> UUID:
    user: UUID = world.value(
        "SELECT user_id FROM whatsapp_private.devices WHERE state = 'linked' AND user_id IS NOT NULL LIMIT 1"
    )
    return user


def services(database: Database) -> Services:
    return Services(Attempts(database), SessionRows(database), RecordedWorkflow())


def sweep(world: World, _: Database) -> None:
    """Run a sweep with the role of cleanup, because the policies of the role are part of the plans."""
    database = world.new_database("whatsapp_worker")
    swept = Cleaning(services(database), Sweeps(database), lambda: 120.0).run()
    assert swept.attempts_deleted == swept.strays_given_up == STALE
    database.run(lambda connection: connection.execute("SELECT pg_stat_force_next_flush()"))


def count(world: World, _: Database) -> None:
    database = world.new_database("whatsapp_worker")
    count_only(Sweeps(database))
    database.run(lambda connection: connection.execute("SELECT pg_stat_force_next_flush()"))


def click(world: World, database: Database) -> None:
    connect(world.user(), WINDOW, LIMIT, services(database))


def poll(world: World, database: Database) -> None:
    Sessions(database).get(world.marked)


def give_up(world: World, database: Database) -> None:
    assert disconnect(world.marked, services(database))


def pair(world: World, database: Database) -> None:
    attempts, leases, rows = Attempts(database), Leases(database), SessionRows(database)
    attempt_id, lease, secret, user = uuid4(), uuid4(), Secret(), world.user()
    assert attempts.claim(user, attempt_id, WINDOW, LIMIT).claimed
    attempts.open_phase(attempt_id, entered(Phase.QR, "token"), WINDOW)
    assert leases.take(attempt_id, lease)
    assert leases.show_qr(attempt_id, lease, secret.text(), 60, secret.fingerprint)
    assert leases.renew(attempt_id, lease)
    world.store_keys(secret, JID)
    assert leases.scanned(attempt_id, lease, JID)
    connected = leases.connected(attempt_id, lease, JID)
    assert connected
    assert rows.write(user, connected.attempt.version)


def fail(world: World, database: Database) -> None:
    attempts, leases = Attempts(database), Leases(database)
    attempt_id, lease = uuid4(), uuid4()
    assert attempts.claim(world.user(), attempt_id, WINDOW, LIMIT).claimed
    assert leases.take(attempt_id, lease)
    assert leases.release(attempt_id, lease, Reason.ACCOUNT_BANNED)
    attempt = attempts.get(attempt_id)
    assert attempt
    assert attempts.end(attempt, Reason.ACCOUNT_BANNED)
    leases.let_go(attempt_id, lease)


def unlink(world: World, database: Database) -> None:
    (device,) = world.attempts.disconnect(world.marked).devices
    devices, lease = Devices(database), uuid4()
    assert devices.take(device, lease)
    devices.forget(device, lease)


def report_scans(crowd: World) -> None:
    """Let the other connections report their scans now. Otherwise these could count as scans of the work."""
    crowd.sql("SELECT pg_stat_force_next_flush()")
    for database in crowd.databases:
        database.run(lambda connection: connection.execute("SELECT pg_stat_force_next_flush()"))


def scans(connection: Connection) -> dict[str, int]:
    """How often the calls of this connection have read each table from end to end so far."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    found = connection.execute(f"SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN {BIG}").fetchall()
    return {row["relname"]: row["seq_scan"] for row in found}


@pytest.mark.parametrize(
    "work", [sweep, count, click, poll, pair, fail, give_up, unlink], ids=lambda work: work.__name__
)
def test_no_statement_reads_a_big_table_from_end_to_end(crowd: World, work: Work) -> None:
    """The server counts the scans, so this includes the statements inside functions."""
    database = crowd.new_database("postgres")
    crowd.marked = a_user(crowd)
    report_scans(crowd)
    before = database.run(scans)

    work(crowd, database)

    assert database.run(scans) == before


def test_the_server_counts_a_scan_inside_a_function(crowd: World) -> None:
    database = crowd.new_database("postgres")
    before = database.run(scans)
    crowd.sql(
        "CREATE FUNCTION scan() RETURNS bigint LANGUAGE plpgsql AS "
        "'BEGIN RETURN (SELECT count(*) FROM whatsapp_private.attempts WHERE legs = 77); END'"
    )
    database.run(lambda connection: connection.execute("SELECT scan()"))
    assert database.run(scans) == before | {"attempts": before["attempts"] + 1}
