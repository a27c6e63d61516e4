"""Lets a linker meet any order of events within milliseconds: an engine that plays a script, and a clock without waits.

The clock moves only when the linker or the engine waits. Then every time in the private tables moves with it. The
repositories are the real ones on a real Postgres.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import TracebackType
from uuid import UUID

from whatsapp_pairing.core.engine import Died, Event, LoggedOut, Online, Qr, Reached, Scanned
from whatsapp_pairing.core.errors import DatabaseUnavailable
from whatsapp_pairing.pairing.attempt import Phase
from whatsapp_pairing.pairing.disconnect import disconnect
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.pairing.linker import link
from whatsapp_pairing.pairing.phases import open_phase, settle_phase
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime.database import Connection, Database, Row, T

from tests.support.adv_secret import Secret
from tests.support.logins import login
from tests.support.recorded_workflow import RecordedWorkflow
from tests.support.repositories import WINDOW, World, entered
from tests.support.shown_pairing import JID

# Seconds of silence, an event, a call that does something else meanwhile, or an error that the engine raises.
Step = float | Event | Callable[[], object] | BaseException
OVER = "its time was over"


class KilledError(BaseException):
    """Ends a linker as ``kill -9`` does. It is not an Exception, so no handler of the linker catches it."""


class Clock:
    """A clock that moves only by ``sleep``."""

    def __init__(self, world: World) -> None:
        self.now = 0.0
        self._world = world
        self._plans: list[tuple[float, Callable[[], object]]] = []

    def __call__(self) -> float:
        return self.now

    def at(self, moment: float, happens: Callable[[], object]) -> None:
        """Call ``happens`` when the clock reaches ``moment``."""
        self._plans.append((moment, happens))
        self._plans.sort(key=lambda plan: plan[0])

    def sleep(self, seconds: float) -> None:
        """Move the clock, and do what was planned for the time between."""
        until = self.now + seconds
        while self._plans and self._plans[0][0] <= until:
            moment, happens = self._plans.pop(0)
            self._move(max(moment, self.now))
            happens()
        self._move(until)

    def _move(self, moment: float) -> None:
        if moment > self.now:
            self._world.age(moment - self.now)
            self.now = moment


class ScriptedRun:
    """An engine that plays one script and then reports nothing. It ends by itself when its time is over."""

    def __init__(self, stage: Stage, script: list[Step], until: float) -> None:
        self._stage = stage
        self._until = until
        self._script = iter(script)
        self._pending: Step | None = None
        self._due = stage.clock.now

    def next_event(self, timeout: float) -> Event | None:
        self._stage.polls += 1
        clock = self._stage.clock
        until = min(clock.now + timeout, self._until)
        while clock.now < self._until:
            step = self._pending if self._pending is not None else next(self._script, None)
            self._pending = None
            if isinstance(step, int | float):
                self._due = clock.now + step
            elif self._due > until or step is None:
                self._pending = step
                clock.sleep(max(0.0, until - clock.now))
                return Died(OVER) if clock.now >= self._until else None
            else:
                clock.sleep(max(0.0, self._due - clock.now))
                if isinstance(step, BaseException):
                    raise step
                if not callable(step):
                    return step
                step()
        return Died(OVER)

    def live_until(self, moment: float) -> None:
        """Move the end of the engine. An engine that has ended stays ended."""
        if self._stage.clock.now < self._until:
            self._until = moment

    def __enter__(self) -> ScriptedRun:
        assert not self._stage.open, "two engines at once"
        self._stage.open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stage.open = False
        self._stage.closed_at.append(self._stage.clock.now)
        self._stage.ended_at.append(min(self._until, self._stage.clock.now))


class FlakyDatabase(Database):
    """A database that is unavailable while ``away`` is set. ``hang`` runs first, so a call can wait before it fails."""

    away = False
    hang: Callable[[], object] = staticmethod(lambda: None)

    def run(self, work: Callable[[Connection], T]) -> T:
        self._refuse_if_away()
        return super().run(work)

    def run_text(self, text: str, parameters: Mapping[str, object]) -> Row | None:
        self._refuse_if_away()
        return super().run_text(text, parameters)

    def _refuse_if_away(self) -> None:
        if self.away:
            self.hang()
            raise DatabaseUnavailable


class Stage:
    """One attempt, the workflow that waits for it, and one script for each start of an engine.

    The workflow is in its first wait. When the linker answers it, the workflow enters the second wait after
    ``workflow_seconds``.
    """

    def __init__(self, world: World, *scripts: list[Step], workflow_seconds: float = 0.0) -> None:
        self.world, self.clock = world, Clock(world)
        self.user = world.user()
        self.database = FlakyDatabase(lambda: login(world.url, "whatsapp_worker"))
        world.databases.append(self.database)
        for database in world.databases:
            # Log in now, so that logging in takes no time of the attempt.
            database.run(lambda connection: connection.execute("SELECT"))
        self.attempt_id = world.claim(self.user)
        self.workflow = RecordedWorkflow(hear=self._hear)
        self.leases, self.session_rows = Leases(self.database), SessionRows(self.database)
        self.scripts = list(scripts)
        self.started: list[str] = []
        self.started_at: list[float] = []
        self.closed_at: list[float] = []
        self.ended_at: list[float] = []
        self.open = False
        self.polls = 0
        self.beats = [0.0]
        self._workflow_seconds = workflow_seconds
        world.attempts.open_phase(self.attempt_id, entered(Phase.QR, "token-qr"), WINDOW)

    def link(self) -> str:
        """Run a linker until it ends."""
        return link(self.attempt_id, self.leases, self.session_rows, self.workflow, self, self.clock, self.clock.sleep)

    def disconnect(self) -> None:
        """Let the user disconnect."""
        disconnect(self.user, self.world.services(self.workflow))

    def settle(self, error: str = "States.Timeout") -> object:
        """Let the workflow's wait end with this error."""
        return settle_phase(self.attempt_id, error, self.world.services(self.workflow))

    def open_wait(self, phase: Phase) -> None:
        """Let the workflow enter a wait."""
        open_phase(self.attempt_id, entered(phase, f"token-{phase}"), WINDOW, self.world.services(self.workflow))

    # ── the engine ──

    def pair(self, until: float) -> ScriptedRun:
        return self._start("pair", until)

    def resume(self, jid: str, until: float) -> ScriptedRun:
        """Resume a device whose keys are stored and that the attempt's linker holds.

        A real engine would abort its process if the keys were missing.
        """
        held = self.world.value(
            "SELECT count(*) FROM whatsapp_engine.whatsmeow_device e "
            "JOIN whatsapp_private.devices d ON d.fingerprint = sha256(e.adv_key) "
            "JOIN whatsapp_private.attempts a ON a.id = d.attempt_id AND a.lease_id = d.lease_id "
            "WHERE e.jid = %s AND d.lease_expires_at > now() AND a.lease_expires_at > now()",
            jid,
        )
        assert held == 1, "an engine on a device without its lease"
        return self._start(f"resume {jid}", until)

    def log_out(self, jid: str, until: float) -> ScriptedRun:  # noqa: ARG002
        raise AssertionError(f"a linker must not log {jid} out")

    def _start(self, task: str, until: float) -> ScriptedRun:
        self.started.append(task)
        self.started_at.append(self.clock.now)
        return ScriptedRun(self, self.scripts.pop(0) if self.scripts else [], until)

    # ── the workflow ──

    def _hear(self, name: str, *arguments: object) -> None:
        if name == "heartbeat":
            self.beats.append(self.clock.now)
        if (name, *arguments) == ("succeed", "token-qr"):
            self.clock.at(self.clock.now + self._workflow_seconds, lambda: self.open_wait(Phase.AUTH))
            self.clock.sleep(0)

    def longest_silence(self) -> float:
        """The longest time between two heartbeats, from the start until now."""
        beats = [*self.beats, self.clock.now]
        return max(later - earlier for earlier, later in pairwise(beats))


def qr(secret: Secret, number: int = 1, seconds: float = 60) -> Qr:
    """The QR event with the ``number``-th QR of a device."""
    return Qr(secret.text(number), seconds)


def qrs(secret: Secret) -> Iterator[Step]:
    """All six QRs of a device, with the pauses between them."""
    yield qr(secret)
    yield 60.0
    for number in range(2, 7):
        yield qr(secret, number, 20)
        yield 20.0


def scan(world: World, secret: Secret, jid: str = JID) -> list[Step]:
    """A phone scans: whatsmeow stores the keys, and then it reports the scan."""
    return [lambda: world.store_keys(secret, jid), Scanned(jid)]


def online(jid: str = JID) -> Online:
    """The device has logged in."""
    return Online(jid)


def removed(world: World, jid: str = JID) -> list[Step]:
    """WhatsApp does not know the device: whatsmeow deletes its keys, and then it reports the logout."""
    return [lambda: world.drop_keys(jid), LoggedOut()]


def reached_qr(secret: Secret) -> list[Step]:
    """The first steps of every pairing: WhatsApp is reached, and a QR comes."""
    return [Reached(), 0.1, qr(secret)]


def outcome_of(world: World, attempt_id: UUID) -> str | None:
    """The outcome of the attempt, None while it lives."""
    outcome: str | None = world.attempt(attempt_id)["outcome"]
    return outcome
