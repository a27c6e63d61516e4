"""Runs cleanup, and makes a database in which each sweep finds as many rows as a test wants."""

from __future__ import annotations

from whatsapp_pairing.cleanup import Cleaning, Swept

from tests.support.adv_secret import Secret
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import OVERDUE_SECONDS, WINDOW, World
from tests.support.stale_rows import lost_pairing

NOTHING = Swept()


def sweep(world: World, workflow: RecordedWorkflow | None = None, batch: int = 200) -> Swept:
    """Run cleanup once."""
    return Cleaning(world.services(workflow or RecordedWorkflow()), world.sweeps, lambda: 120.0, batch).run()


def stale_everything(world: World, each: int) -> None:
    """Make ``each`` rows of every kind that cleanup looks for, and as many rows that it must not change."""
    for number in range(each):
        jid = f"52155501{number:02}:{{}}@s.whatsapp.net"
        lost_pairing(world)  # overdue
        world.link(world.user(), gone := Secret(), jid.format(1))
        orphan = world.bound(gone)["user_id"]
        world.link(user := world.user(), Secret(), jid.format(2))
        world.attempts.disconnect(user)  # its keys stay
        world.sql("DELETE FROM auth.users WHERE id = %s", orphan)
        user, _ = lost_pairing(world)
        world.attempts.disconnect(user)  # offered, never scanned
        world.sql(
            "INSERT INTO public.whatsapp_sessions (user_id, session_status) VALUES (%s, 'connecting')", world.user()
        )
        world.link(world.user(), Secret(), jid.format(3))
    world.age(WINDOW + OVERDUE_SECONDS + 241)
    world.age_rows(301)
    for _ in range(each):
        world.claim()


def everything(each: int) -> Swept:
    """What a run finds after ``stale_everything``. It also forgets the devices of the overdue attempts."""
    return Swept(
        attempts_ended=each,
        orphans_given_up=each,
        bindings_forgotten=2 * each,
        unlinks_started=2 * each,
        rows_written=each,
    )


def total(*runs: Swept) -> Swept:
    """The sum of several runs."""
    return Swept(**{name: sum(run.as_dict()[name] for run in runs) for name in NOTHING.as_dict()})
