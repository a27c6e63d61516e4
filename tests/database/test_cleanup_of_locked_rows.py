"""When another transaction locks a row, or a row cannot be changed, cleanup does everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest
from whatsapp_pairing.cleanup import Cleaning, Sweeps, Swept, count_only
from whatsapp_pairing.core.errors import DatabaseBusy, DatabaseRefused, DatabaseUnavailable, WorkflowUnavailable
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime import batches, limits
from whatsapp_pairing.runtime.database import Connection, Database
from whatsapp_pairing.runtime.settings import Settings
from whatsapp_pairing.runtime.workflow import Workflow

from tests.support.adv_secret import Secret
from tests.support.cleanup import everything, stale_everything, sweep
from tests.support.metrics import metrics_in, values
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import OVERDUE_SECONDS, WINDOW, World
from tests.support.stale_rows import (  # fmt: skip
    due_unlinks,
    grown_counters,
    lost_pairing,
    never_scanned,
    rows_behind,
    stale_answers,
    stale_attempts,
    stale_orphans,
    stale_tokens,
    stray_devices,
    wrong_rows,
)

# Each statement takes one lock of a user.
LOCKS = {
    "attempt": "SELECT FROM whatsapp_private.attempts WHERE user_id = %s FOR UPDATE",
    "device": "SELECT FROM whatsapp_private.devices WHERE user_id = %s FOR UPDATE",
    "session": "SELECT FROM whatsapp_private.sessions WHERE user_id = %s FOR UPDATE",
    "user": "SELECT pg_advisory_xact_lock(hashtextextended('whatsapp-pairing ' || %s::uuid, 0))",
    "account": "SELECT FROM auth.users WHERE id = %s FOR UPDATE",
}


def overdue(world: World, number: int) -> list[tuple[UUID, UUID]]:
    """Make overdue attempts. Return each user and attempt, the oldest attempt first."""
    lost = [lost_pairing(world) for _ in range(number)]
    world.age(WINDOW + OVERDUE_SECONDS + 1)
    for age, (_, attempt_id) in enumerate(reversed(lost)):
        world.age(age, attempt_id)
    return lost


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_a_locked_attempt_does_not_stop_the_other_sweeps(world: World, lock: str) -> None:
    user, attempt_id = lost_pairing(world)
    world.age(60)
    stale_everything(world, 3)
    with world.holding(lock, user):
        found = sweep(world).as_dict()
    assert found == everything(3).as_dict() | {"left": 1}
    assert world.attempt(attempt_id)["ended_at"] is None
    again = sweep(world)
    assert (again.attempts_ended, again.left) == (1, 0)


def test_a_batch_of_locked_attempts_does_not_hide_a_free_one(world: World) -> None:
    *locked, (_, free) = overdue(world, 8)
    with world.holding("SELECT FROM whatsapp_private.attempts WHERE id <> %s FOR UPDATE", free):
        swept = sweep(world, batch=3)
    assert (swept.attempts_ended, swept.left) == (1, len(locked))
    assert world.attempt(free)["outcome"] is not None


def test_a_sweep_stops_when_it_has_left_too_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_LEFT", 2)
    overdue(world, 4)
    stale_tokens(world, 1)
    with world.holding("SELECT FROM whatsapp_private.devices FOR UPDATE"):
        swept = sweep(world)
    assert (swept.attempts_ended, swept.left, swept.tokens_cleared) == (0, 2, 1)


def test_a_locked_table_does_not_stop_the_run(world: World) -> None:
    stale_everything(world, 2)
    stale_answers(world, 2)
    with world.holding("LOCK TABLE whatsapp_private.devices"):
        swept = sweep(world)
    assert (swept.answers_deleted, swept.attempts_ended) == (2, 0)
    assert swept.left >= 5
    assert sweep(world).left == 0


# ── failures of other kinds ──

RAISES = "RAISE 'broken' USING ERRCODE = '{}'"


@pytest.fixture
def spoil(world: World) -> Iterator[Callable[[UUID, str], None]]:
    """Returns a function that lets each write to an attempt run a statement first."""
    name = psycopg.conninfo.conninfo_to_dict(world.url)["dbname"]
    world.sql(f"ALTER ROLE whatsapp_worker IN DATABASE {name} SET statement_timeout = '1s'")

    def spoil(attempt_id: UUID, does: str) -> None:
        world.sql(
            "CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$BEGIN IF NEW.id = '{attempt_id}' THEN {does}; END IF; RETURN NEW; END$$"
        )
        world.sql(
            "CREATE OR REPLACE TRIGGER spoil BEFORE UPDATE ON whatsapp_private.attempts "
            "FOR EACH ROW EXECUTE FUNCTION spoil()"
        )

    yield spoil
    world.sql("DROP FUNCTION spoil CASCADE")
    world.sql(f"ALTER ROLE whatsapp_worker IN DATABASE {name} RESET statement_timeout")


@pytest.mark.parametrize("does", [RAISES.format("40P01"), "PERFORM pg_sleep(100)"], ids=["deadlock", "too slow"])
def test_an_attempt_whose_end_may_succeed_later_is_left(world: World, spoil: Callable[..., None], does: str) -> None:
    (_, broken), *others = overdue(world, 3)
    spoil(broken, does)
    swept = sweep(world)
    assert (swept.attempts_ended, swept.left) == (len(others), 1)


def test_a_broken_attempt_fails_the_run_after_the_rest(world: World, spoil: Callable[..., None], capsys: Any) -> None:
    (_, broken), *others = overdue(world, 3)
    stale_answers(world, 1)
    spoil(broken, RAISES.format("P0001"))
    with pytest.raises(DatabaseRefused, match="P0001"):
        sweep(world)
    assert all(world.attempt(attempt_id)["outcome"] for _, attempt_id in others)
    assert count_only(world.sweeps).answers_deleted == 0
    assert values(metrics_in(capsys.readouterr().out), "CleanupLeft") == [1]


def test_a_user_who_was_just_deleted_fails_no_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    grown_counters(world, 2)
    gone, kept = world.sweeps.counted_users(2)
    take = world.sweeps.take_counters

    def refuse(users: list[UUID]) -> int:
        if gone in users:
            raise DatabaseRefused(sqlstate="23503")
        return take(users)

    monkeypatch.setattr(world.sweeps, "take_counters", refuse)
    swept = sweep(world)
    assert (swept.counters_taken, swept.left) == (1, 0)
    assert world.sessions.get(kept).messages_sent == 1


def test_a_run_without_postgres_fails_after_every_sweep(world: World, caplog: pytest.LogCaptureFixture) -> None:
    database = Database(lambda: "postgresql://me@127.0.0.1:1/db")
    parts = Services(Attempts(database), SessionRows(database), RecordedWorkflow()), Sweeps(database)
    with pytest.raises(DatabaseUnavailable):
        Cleaning(*parts, lambda: 120.0).run()
    assert caplog.messages.count("a sweep failed") == 13


def test_postgres_that_goes_away_ends_a_sweep(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each of two hundred attempts would wait for seconds."""
    overdue(world, 3)
    tried: list[object] = []

    def away(*arguments: object) -> None:
        tried.append(arguments)
        raise DatabaseUnavailable

    monkeypatch.setattr(world.attempts, "end", away)
    stale_answers(world, 1)
    with pytest.raises(DatabaseUnavailable):
        sweep(world)
    assert len(tried) == 1
    assert count_only(world.sweeps).answers_deleted == 0


def test_the_brief_lock_timeout_ends_with_its_statement(world: World) -> None:
    def shown(connection: Connection) -> object:
        return connection.execute("SHOW lock_timeout").fetchone()

    database = world.new_database("whatsapp_worker")
    with limits.brief_locks():
        assert database.run(shown) == {"lock_timeout": "50ms"}
        with pytest.raises(DatabaseBusy), world.holding("SELECT pg_advisory_xact_lock(7)"):
            database.run(lambda connection: connection.execute("SELECT pg_advisory_xact_lock(%s)", (7,)))
    assert database.run(shown) == {"lock_timeout": "3s"}


class Refusing(Workflow):
    """A workflow in which Lambda refuses every call."""

    def __init__(self) -> None:
        super().__init__(Settings({}))
        self.tried = 0

    def call_unlink(self, _: UUID) -> None:
        self.tried += 1
        raise WorkflowUnavailable


def test_unlinks_that_lambda_refuses_are_left(world: World) -> None:
    for number in range(6):
        world.link(user := world.user(), Secret(), f"52155502{number:03}:1@s.whatsapp.net")
        world.attempts.disconnect(user)
    world.age(241)
    refusing = Refusing()
    swept = Cleaning(world.services(refusing), world.sweeps, lambda: 120.0).run()
    assert (swept.unlinks_started, swept.left) == (0, 6)
    assert refusing.tried == 3  # because each try may take seconds
    world.age(481)
    assert sweep(world).unlinks_started == 6


# ── each sweep ──


@dataclass(frozen=True)
class Case:
    """How to make rows that one sweep finds, and which of them to lock."""

    stale: Callable[[World, int], None]
    table: str
    where: str = "true"


CASES = {
    "tokens_cleared": Case(stale_tokens, "attempts"),
    "answers_deleted": Case(stale_answers, "answers", "answered_at < now() - interval '5 min'"),
    "attempts_deleted": Case(stale_attempts, "attempts", "ended_at IS NOT NULL"),
    "orphans_given_up": Case(stale_orphans, "devices"),
    "strays_given_up": Case(stray_devices, "devices"),
    "bindings_forgotten": Case(never_scanned, "devices"),
    "unlinks_started": Case(due_unlinks, "devices"),
    "counters_taken": Case(grown_counters, "sessions"),
    "rows_written": Case(wrong_rows, "sessions"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_sweep_passes_over_a_locked_row(world: World, name: str) -> None:
    case = CASES[name]
    case.stale(world, 4)
    row = f"SELECT FROM whatsapp_private.{case.table} WHERE {case.where} LIMIT 1 FOR UPDATE"
    with world.holding(row):
        swept = sweep(world, batch=2)
    assert (swept.as_dict()[name], swept.left) == (3, 1)
    again = sweep(world)
    assert (again.as_dict()[name], again.left) == (1, 0)


def test_a_locked_session_does_not_stop_writes_of_other_rows(world: World) -> None:
    rows_behind(world, 3)
    with world.holding("SELECT FROM whatsapp_private.sessions LIMIT 1 FOR UPDATE"):
        swept = sweep(world)
    assert (swept.rows_written, swept.left) == (2, 1)


def test_counters_of_a_user_who_is_being_deleted_are_left(world: World) -> None:
    gone, *users = [world.user() for _ in range(3)]
    for user in (gone, *users):
        world.sql("INSERT INTO public.whatsapp_sessions (user_id, messages_sent) VALUES (%s, 1)", user)
    with world.holding("SELECT FROM auth.users WHERE id = %s FOR UPDATE", gone):
        swept = sweep(world)
    assert (swept.counters_taken, swept.left) == (2, 1)
    assert sweep(world) == Swept(counters_taken=1)


def test_a_run_counts_what_it_has_left(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    overdue(world, 2)
    sweep(world)
    assert values(metrics_in(capsys.readouterr().out), "CleanupLeft") == [0]


def test_a_dry_run_names_every_sweep(world: World) -> None:
    for case in CASES.values():
        case.stale(world, 1)
    counted = count_only(world.sweeps).as_dict()
    assert {name for name, number in counted.items() if number} >= set(CASES)
