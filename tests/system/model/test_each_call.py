"""One user pairs and disconnects, and one call of one process meets a fault: each call meets each fault.

`test_model` looks for long stories. These tests look at each call once, so that none is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from whatsapp_pairing.runtime.lease import LEASE_SECONDS
from whatsapp_pairing.session.session import Status

from tests.support.repositories import WINDOW, World
from tests.system.model.modelled_system import ModelledSystem
from tests.system.model.process import Order, Process
from tests.system.model.random_events import come_to_rest

# A frozen process goes on after its lease has expired and its workflow has missed a heartbeat.
_FROZEN_SECONDS = LEASE_SECONDS + 4
_FAULTS = ("killed before", "frozen before", *(order.value for order in Order if order is not Order.DO))
_STEPS = ("show", "scan", "online", "sync", "log_out")
_ROUNDS = 60

# Every call of a pairing and a disconnect: function and call. The first test below checks that the list is complete.
CALLS = (
    "connect claim", "connect start", "connect write",
    "OpenPhase open_phase", "OpenPhase call_linker",
    "linker take", "linker heartbeat", "linker show_qr", "linker succeed", "linker write",
    "linker renew", "linker scanned", "linker connected",
    "disconnect disconnect", "disconnect call_unlink", "disconnect write",
    "unlink take", "unlink renew", "unlink stored_jid", "unlink forget",
    "cleanup overdue_attempts", "cleanup clear_tokens", "cleanup delete_answers", "cleanup delete_attempts",
    "cleanup give_up_orphans", "cleanup give_up_strays", "cleanup give_up_unexplained",
    "cleanup forget_never_scanned", "cleanup start_unlinks", "cleanup unlinks_due", "cleanup forget_contacts",
    "cleanup counted_users", "cleanup take_counters", "cleanup users_with_wrong_rows", "cleanup mark_wrong_rows",
    "cleanup rows_behind", "cleanup rows_due",
)  # fmt: skip

# The calls of an attempt that nobody scans, and of one that its user cancels.
LOST_CALLS = (
    "disconnect fail", "linker refuse", "linker release", "linker fail",
    "linker let_go", "SettlePhase get", "SettlePhase end", "SettlePhase write", "SettlePhase call_unlink",
    "cleanup get", "cleanup end", "cleanup write", "cleanup call_unlink", "unlink give_back",
)  # fmt: skip


@dataclass
class Fault:
    """The fault that one call meets when it is made for the first time. Without a call, it only notes all calls."""

    system: ModelledSystem
    call: str = ""
    how: str = ""
    called: set[str] = field(default_factory=set)
    _frozen: tuple[Process, float] | None = None

    def __call__(self, process: Process) -> Order:
        if not process.doing:  # the process begins, or waits
            return Order.DO
        call = f"{process.name.split()[0]} {process.doing}"
        first = call not in self.called
        self.called.add(call)
        if not first or call != self.call:
            return Order.DO
        if self.how == "killed before":
            process.kill()
        elif self.how == "frozen before":
            process.frozen = True
            self._frozen = process, self.system.now + _FROZEN_SECONDS
        else:
            return Order(self.how)
        return Order.DO

    def pass_on(self) -> None:
        """Let late calls arrive, and let the frozen process go on."""
        for late in list(self.system.late):
            self.system.arrive(late)
        if self._frozen and self.system.now >= self._frozen[1]:
            self._frozen[0].frozen = False


class Story:
    """A user with a phone. The promises are checked after each second."""

    def __init__(self, system: ModelledSystem, fault: Fault) -> None:
        self.system, self.fault = system, fault
        system.fault, system.agreeable = fault, False
        self.user = system.add_user()

    def click(self) -> None:
        """Click "Connect", and let everything happen that follows at once."""
        self.system.run(self.system.click(self.user))
        self.wait(0.3)

    def leave(self) -> None:
        """Click "Disconnect" until the session is disconnected."""
        for _ in range(_ROUNDS):
            self.system.run(self.system.give_up(self.user))
            self.wait(1.3)
            if self.status is Status.DISCONNECTED:
                return
        raise AssertionError(f"the session stays {self.status}")

    def edit_the_row(self) -> None:
        """Let the user write into the session row: status connected, and one message more."""
        self.system.promises.edited[self.user] = self.system.now
        self.system.world.sql(
            "INSERT INTO public.whatsapp_sessions AS s (user_id, session_status, messages_sent) "
            "VALUES (%s, 'connected', 1) "
            "ON CONFLICT (user_id) DO UPDATE SET session_status = 'connected', messages_sent = s.messages_sent + 1",
            self.user,
        )

    def pair(self) -> None:
        """Scan each QR until the session is connected. Click again after every ten rounds."""
        for turn in range(_ROUNDS):
            if self.status is Status.CONNECTED:
                return
            if not turn % 10:
                self.click()
            self.make(*_STEPS)
            self.wait(1.3)
        raise AssertionError(f"the session stays {self.status}")

    @property
    def status(self) -> Status:
        """The status of the session."""
        return self.system.sessions.get(self.user).status

    def make(self, *moves: str) -> None:
        """Let every engine make the first of these moves that it can."""
        for run in list(self.system.runs):
            if move := next((move for move in run.moves if move in moves), None):
                run.make(move)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.system.live(seconds)
        self.fault.pass_on()
        self.system.run_all()
        self.system.promises.check()


def pair_and_leave(system: ModelledSystem, fault: Fault) -> None:
    """Pair, disconnect and clean up, with no other fault."""
    story = Story(system, fault)
    story.pair()
    story.system.run(system.clean())
    story.leave()
    for _ in range(3):
        story.make("log_out")
        story.wait(5.3)
    story.edit_the_row()
    story.system.run(system.clean())


def fail_in_every_way(system: ModelledSystem, fault: Fault) -> None:
    """Three users: one loses the workflow, WhatsApp refuses one, and one disconnects before the scan."""
    lost, refused, gives_up = (Story(system, fault) for _ in range(3))
    for story, last in ((lost, "reach"), (refused, "refuse"), (gives_up, "reach")):
        story.click()
        again = ["refuse", "show", "scan", "log_out_early", "show", "renew"] if story is refused else []
        for move in ("show", *again, *(["scan"] if story is not gives_up else []), last):
            story.make(move)
            story.wait(0.3)
        if story is lost:
            for execution in system.executions.values():
                execution.vanish()
            for process in list(system.processes):
                process.kill()
    gives_up.leave()
    for move in ("lose", "log_out", "log_out"):
        gives_up.wait(20.3)
        gives_up.make(move)
    system.live(2 * WINDOW)
    system.run(system.clean())
    gives_up.wait(20.3)


STORIES = {pair_and_leave: CALLS, fail_in_every_way: LOST_CALLS}


@pytest.fixture
def system(world: World) -> Iterator[ModelledSystem]:
    world.empty()
    system = ModelledSystem(world)
    yield system
    system.end()
    system.close()


def test_the_two_stories_make_exactly_the_listed_calls(system: ModelledSystem) -> None:
    fault = Fault(system)
    for story in STORIES:
        story(system, fault)
        come_to_rest(system)
    assert fault.called == {*CALLS, *LOST_CALLS}


def every_fault_at_every_call() -> Iterator[Any]:
    """Each pair of a call and a fault. By default each call meets one fault; the slow tests have the others."""
    calls = [(story, call) for story, calls in STORIES.items() for call in calls]
    for number, (story, call) in enumerate(calls):
        for turn, how in enumerate(_FAULTS):
            slow = () if turn == number % len(_FAULTS) else pytest.mark.slow
            yield pytest.param(story, call, how, marks=slow, id=f"{call}, {how}")


@pytest.mark.parametrize(("story", "call", "how"), list(every_fault_at_every_call()))
def test_a_fault_at_this_call_breaks_no_promise(system: ModelledSystem, story: Any, call: str, how: str) -> None:
    fault = Fault(system, call, how)
    story(system, fault)
    assert call in fault.called
    come_to_rest(system)
