"""The events that may happen in the model, in any order. Each is a rule for hypothesis."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from whatsapp_pairing.pairing.attempt import HEARTBEAT_SECONDS
from whatsapp_pairing.runtime.lease import LEASE_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.repositories import World
from tests.system.model.interrupted_calls import Late
from tests.system.model.modelled_step_functions import Execution
from tests.system.model.modelled_system import ModelledSystem
from tests.system.model.modelled_whatsapp import EngineRun
from tests.system.model.process import Order, Process

_USERS = 2
# Uneven times: no sum of them is exactly the moment in which a lease or a window ends.
_TIMES = (0.7, 3.3, 9.3, 27.3, 61.3, 126.3, 301.3)
_STEPS = ("show", "scan", "online", "sync")
_ORDERS = (Order.DO, *Order)


def one_of(choose: str) -> Any:
    """Choose one item of this property, as it is at the moment."""
    return st.runner().flatmap(lambda machine: st.sampled_from(getattr(machine, choose)))


def come_to_rest(system: ModelledSystem) -> None:
    """End every process, run cleanup several times, and check the promises about the end."""
    system.agreeable = True
    system.end()
    # Cleanup looks for wrong session rows only among those that were edited within the last hour.
    system.pass_time(400)
    system.promises.forget_old_edits()
    for seconds in (0, 90_000, 90_000, 90_000):
        system.pass_time(seconds)
        system.run(system.clean())
        system.run_all()
    before = system.world.snapshot()
    system.run(system.clean())
    system.promises.check()
    system.promises.check_end()
    assert system.world.snapshot() == before, "cleanup does not come to an end"
    for user in system.users:
        process = system.click(user)
        system.run(process)
        assert not process.error, process.error
        assert process.result or system.sessions.get(user).status is Status.CONNECTED


class RandomEvents(RuleBasedStateMachine):
    """Two users, and everything that can go wrong."""

    world: World

    @initialize(fair=st.booleans(), one_phone=st.booleans())
    def begin(self, fair: bool, one_phone: bool) -> None:
        self.world.empty()
        self.system = ModelledSystem(self.world)
        self.system.one_phone = one_phone
        self.fair = fair
        self.ever = [self.system.add_user() for _ in range(_USERS)]

    @property
    def users(self) -> list[Any]:
        return list(range(len(self.system.users)))

    @property
    def processes(self) -> list[Process]:
        return [process for process in self.system.processes if process.ready(self.system.now)]

    @property
    def everybody(self) -> list[Process]:
        return self.system.processes

    @property
    def late(self) -> list[Late]:
        return self.system.late

    @property
    def executions(self) -> list[Execution]:
        return [execution for execution in self.system.executions.values() if execution.running]

    @property
    def stopped(self) -> list[Execution]:
        return [e for e in self.system.executions.values() if not e.running and not e.finished]

    @property
    def runs(self) -> list[EngineRun]:
        return [run for run in self.system.runs if run.moves]

    def _user(self, number: int) -> Any:
        return list(self.system.users)[number]

    @rule(user=st.integers(0, _USERS - 1), at_once=st.booleans())
    def click(self, user: int, at_once: bool) -> None:
        """Let a user click. A deleted user may click too, because a token stays valid for up to an hour."""
        self._begin(self.system.click(self.ever[user]), at_once)

    @rule(user=st.integers(0, _USERS - 1), at_once=st.booleans())
    def give_up(self, user: int, at_once: bool) -> None:
        self._begin(self.system.give_up(self.ever[user]), at_once)

    @rule(at_once=st.booleans())
    def clean(self, at_once: bool) -> None:
        self._begin(self.system.clean(), at_once)

    def _begin(self, process: Process, at_once: bool) -> None:
        if at_once:
            self.system.run(process)
            self.system.run_all()

    @rule(user=one_of("users"), step=st.sampled_from(_STEPS), pause=st.sampled_from((0.3, 6.3, 126.3)))
    def get_far(self, user: int, step: str, pause: float) -> None:
        """Let a user wait, click and get as far as `step` without a fault."""
        owner = self._user(user)
        self.system.pass_time(pause)
        self.system.run(self.system.click(owner))
        self.system.run_all()
        for move in _STEPS:
            for run in self.runs:
                if move in run.moves and self.system.owner(run) == owner:
                    run.make(move)
            self.system.run_all()
            self.keeps_its_promises()
            if move == step:
                return

    @precondition(lambda self: self.processes)
    @rule(process=one_of("processes"), order=st.sampled_from(_ORDERS))
    def step(self, process: Process, order: Order) -> None:
        process.resume(order)

    @precondition(lambda self: self.processes)
    @rule(process=one_of("processes"), order=st.sampled_from(_ORDERS))
    def run(self, process: Process, order: Order) -> None:
        self.system.run(process, order)

    @rule()
    def run_all(self) -> None:
        self.system.run_all()

    @precondition(lambda self: self.everybody)
    @rule(process=one_of("everybody"))
    def kill(self, process: Process) -> None:
        process.kill()

    @precondition(lambda self: self.everybody)
    @rule(process=one_of("everybody"))
    def freeze_or_thaw(self, process: Process) -> None:
        """Freeze or thaw a process: Lambda may stop an instance between any two calls, for any time."""
        process.frozen = not process.frozen

    @precondition(lambda self: self.late)
    @rule(late=one_of("late"))
    def arrive(self, late: Late) -> None:
        self.system.arrive(late)

    @precondition(lambda self: self.runs)
    @rule(run=one_of("runs"), noticed=st.booleans())
    def kill_with_its_engine(self, run: EngineRun, noticed: bool) -> None:
        """Kill a linker or an unlink together with its engine.

        If noticed, time passes until the workflow misses a heartbeat.
        """
        run.process.kill()
        if noticed:
            self.system.live(HEARTBEAT_SECONDS + 0.3)

    @precondition(lambda self: self.runs)
    @rule(run=one_of("runs"), live=st.booleans())
    def go_well(self, run: EngineRun, live: bool) -> None:
        run.make(run.moves[0])
        if live:
            self.system.run_all()

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def go_wrong(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.runs))
        run.make(data.draw(st.sampled_from(run.moves)))

    @precondition(lambda self: self.runs)
    @rule(run=one_of("runs"), takes=st.booleans())
    def hang_and_be_replaced(self, run: EngineRun, takes: bool) -> None:
        """Let a lease expire while its holder hangs, and call a successor. The holder may go on at any time."""
        self.system.pass_time(LEASE_SECONDS + 0.3)
        process = run.process
        if process.attempt_id:
            self.system.call_linker(process.attempt_id)
        elif process.device_id:
            self.system.call_unlink(process.device_id)
        if takes:
            self.system.run(self.system.processes[-1])

    @rule(seconds=st.sampled_from(_TIMES))
    def nobody_gets_a_turn(self, seconds: float) -> None:
        self.system.pass_time(seconds)

    @rule(seconds=st.sampled_from(_TIMES[:5]))
    def live(self, seconds: float) -> None:
        self.system.live(seconds)

    @precondition(lambda self: self.executions)
    @rule(execution=one_of("executions"))
    def lose_execution(self, execution: Execution) -> None:
        execution.vanish()

    @precondition(lambda self: self.stopped)
    @rule(execution=one_of("stopped"))
    def redrive(self, execution: Execution) -> None:
        execution.redrive()

    @precondition(lambda self: self.system.opened)
    @rule(data=st.data())
    def open_again(self, data: st.DataObject) -> None:
        self.system.open_again(data.draw(st.sampled_from(self.system.opened)))

    @precondition(lambda self: self.system.invoked)
    @rule(data=st.data())
    def invoke_again(self, data: st.DataObject) -> None:
        """Repeat an asynchronous invocation: Lambda delivers each at least once, and sometimes late."""
        function, about = data.draw(st.sampled_from(self.system.invoked))
        getattr(self.system, function)(about)

    @precondition(lambda self: self.system.linked)
    @rule(data=st.data())
    def remove_on_the_phone(self, data: st.DataObject) -> None:
        del self.system.linked[data.draw(st.sampled_from(sorted(self.system.linked)))]

    @rule(user=one_of("users"), status=st.sampled_from([None, *Status, Status.DISCONNECTED]), text=st.booleans())
    def edit_the_row(self, user: int, status: Status | None, text: bool) -> None:
        """Let users write into their session rows, as row level security allows. Without a status, delete the row."""
        owner = self._user(user)
        self.system.promises.edited[owner] = self.system.now
        if status is None:
            self.world.sql("DELETE FROM public.whatsapp_sessions WHERE user_id = %s", owner)
            return
        self.world.sql(
            "INSERT INTO public.whatsapp_sessions AS s (user_id, session_status, messages_sent) VALUES (%s, %s, 1) "
            "ON CONFLICT (user_id) DO UPDATE SET session_status = excluded.session_status, "
            "messages_sent = s.messages_sent + 1, "
            "qr_code = CASE WHEN %s THEN 'mine' ELSE s.qr_code END",
            owner, status, text,
        )  # fmt: skip

    @precondition(lambda self: len(self.system.users) > 1)
    @rule(user=one_of("users"))
    def delete_user(self, user: int) -> None:
        self.system.delete_user(self._user(user))

    @invariant()
    def keeps_its_promises(self) -> None:
        self.system.promises.check()
        self.system.stand_still()

    def teardown(self) -> None:
        if not hasattr(self, "system"):
            return
        try:
            if not sys.exc_info()[0]:  # after a failure, the state at the end says nothing more
                for process in self.everybody:
                    process.frozen = False
                if self.fair:
                    self.system.live(600)
                come_to_rest(self.system)
        finally:
            self.system.end()
            self.system.close()
