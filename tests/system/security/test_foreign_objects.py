"""A pairing connects beside any object that the product has added to the owner's table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from whatsapp_pairing.cleanup import Cleaning
from whatsapp_pairing.core.errors import DatabaseRefused
from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.session.session import Status

from tests.support.adv_secret import Secret
from tests.support.metrics import metrics_in, values
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import LIMIT, WINDOW, World, open_world

TABLE = "public.whatsapp_sessions"
JID = "5215550001:7@s.whatsapp.net"


@dataclass(frozen=True)
class Foreign:
    """An object of the product on the owner's table.

    Attributes
    ----------
    made, removed : str
        The statements that create and remove it. An object that stays has no second statement.
    said : str
        What the log says when the row cannot be written; empty: the row is written.
    swept : bool
        Whether cleanup can read the table while the object exists.
    """

    made: str
    removed: str
    said: str
    swept: bool = True


def trigger(body: str, timing: str = "before insert or update") -> str:
    """The statement for a trigger that runs this for each row."""
    kind = "constraint trigger" if "deferred" in timing else "trigger"
    event, deferrable, deferred = timing.partition(" deferrable")
    return (
        f"create function public.mine() returns trigger language plpgsql as $$ begin {body}; return new; end $$;"
        f"create {kind} mine {event} on {TABLE}{deferrable}{deferred} for each row execute function public.mine()"
    )


def constraint(definition: str, said: str, before: str = "") -> Foreign:
    """The statement for a constraint that refuses the row."""
    return Foreign(
        f"{before}; alter table {TABLE} add constraint mine {definition}", f"alter table {TABLE} drop constraint mine",
        f"{said}, table whatsapp_sessions, constraint mine",
    )  # fmt: skip


# Rows of other users. A unique key over the status then refuses our row.
OTHERS = f"""
with others as (insert into auth.users select gen_random_uuid() from generate_series(1, 3) returning id)
insert into {TABLE} (user_id, session_status)
select id, (array['connecting', 'waiting_qr', 'connected'])[row_number() over ()] from others
"""
PROFILES = "create table public.profiles (id uuid primary key)"
NO_TRIGGER = "drop function public.mine cascade"
AFTER = "after insert or update"
DEFERRED = f"{AFTER} deferrable initially deferred"
FOREIGN = {
    "a required column": Foreign(
        f"alter table {TABLE} add tenant text not null", f"alter table {TABLE} drop tenant",
        "NotNullViolation 23502, table whatsapp_sessions, column tenant",
    ),
    "a check": constraint("check (session_status = 'disconnected')", "CheckViolation 23514"),
    "a unique key": constraint("unique (session_status)", "UniqueViolation 23505", OTHERS),
    "an exclusion": constraint("exclude (session_status with =)", "ExclusionViolation 23P01", OTHERS),
    "a foreign key": constraint(
        "foreign key (user_id) references public.profiles", "ForeignKeyViolation 23503", PROFILES
    ),
    "a deferred foreign key": constraint(
        "foreign key (user_id) references public.profiles deferrable initially deferred",
        "ForeignKeyViolation 23503", PROFILES,
    ),
    "a failing trigger": Foreign(trigger("raise 'no'"), NO_TRIGGER, "RaiseException P0001"),
    "a failing deferred trigger": Foreign(trigger("raise 'no'", DEFERRED), NO_TRIGGER, "RaiseException P0001"),
    "a slow trigger": Foreign(trigger("perform pg_sleep(600)"), NO_TRIGGER, "QueryCanceled 57014"),
    "a slow trigger behind": Foreign(trigger("perform pg_sleep(600)", AFTER), NO_TRIGGER, "QueryCanceled 57014"),
    "a slow deferred trigger": Foreign(trigger("perform pg_sleep(600)", DEFERRED), NO_TRIGGER, "QueryCanceled 57014"),
    "a trigger that drops the row": Foreign(trigger("return null"), NO_TRIGGER, "TriggeredActionException 09000"),
    "a rule": Foreign(
        f"create rule mine as on insert to {TABLE} do instead nothing", f"drop rule mine on {TABLE}",
        "TriggeredActionException 09000",
    ),
    "a restrictive policy": Foreign(
        f"create policy mine on {TABLE} as restrictive using (auth.jwt() ->> 'aal' = 'aal2')",
        f"drop policy mine on {TABLE}", "InsufficientPrivilege 42501",
    ),
    "Supabase's policy for a second factor": Foreign(
        f"create policy mine on {TABLE} as restrictive to authenticated using ((select auth.jwt() ->> 'aal') = 'aal2')",
        f"drop policy mine on {TABLE}", "",
    ),
    "a table with another name": Foreign(
        f"alter table {TABLE} rename to mine", "alter table public.mine rename to whatsapp_sessions",
        "UndefinedTable 42P01", swept=False,
    ),
    "a column with another name": Foreign(
        f"alter table {TABLE} rename qr_code to mine", f"alter table {TABLE} rename mine to qr_code",
        "UndefinedColumn 42703",
    ),
    "no table": Foreign(f"drop table {TABLE}", "", "UndefinedTable 42P01", swept=False),
}  # fmt: skip


@pytest.fixture
def world(migrated_url: str) -> Iterator[World]:
    """A database of this test."""
    yield from open_world(migrated_url)


def clean(world: World) -> None:
    Cleaning(world.services(RecordedWorkflow()), world.sweeps, lambda: 120.0).run()


@pytest.mark.parametrize("name", FOREIGN)
def test_a_pairing_connects_beside_a_foreign_object(
    world: World, name: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign, user, secret, workflow = FOREIGN[name], world.user(), Secret(), RecordedWorkflow()
    failures = 3 if foreign.said else 0
    lost = world.claim()
    world.sql(foreign.made)

    assert connect(user, WINDOW, LIMIT, world.services(workflow))
    attempt = world.last(user)
    assert attempt is not None
    lease = world.lease(attempt.id)
    shown = world.show(attempt.id, lease, secret)
    assert shown is not None
    assert world.session_rows.write(user, shown.version) == (not foreign.said)
    assert world.sessions.get(user).qr == secret.text()
    world.store_keys(secret, JID)
    assert world.leases.scanned(attempt.id, lease, JID)
    connected = world.leases.connected(attempt.id, lease, JID)
    assert connected is not None
    assert connected.attempt.outcome == "connected"
    assert world.session_rows.write(user, connected.attempt.version) == (not foreign.said)
    assert world.sessions.get(user).status is Status.CONNECTED

    assert [vars(record)["why"] for record in caplog.records if "why" in vars(record)] == [foreign.said] * failures
    assert values(metrics_in(capsys.readouterr().out), "SessionRowBehind") == [1.0] * failures

    # Cleanup does all its other work, and writes the row as soon as it can.
    world.age(1000, lost)
    if foreign.swept:
        clean(world)
    else:
        with pytest.raises(DatabaseRefused):
            clean(world)
    assert world.attempt(lost)["outcome"] is not None
    if foreign.removed:
        world.sql(foreign.removed)
        for (
            database
        ) in world.databases:  # Postgres keeps the plan of an INSERT that a rule changed, after the rule is gone
            database.close()
        world.sql("UPDATE whatsapp_private.sessions SET show_due_at = now()")
        clean(world)
        row = world.row(user)
        assert row is not None
        assert (row["session_status"], row["phone_number"]) == ("connected", "5215550001")
        assert world.value("SELECT count(*) FROM whatsapp_private.sessions WHERE behind") == 0
