"""The whole system: each function as processes, the workflow, WhatsApp, and a clock that only the test moves."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from whatsapp_pairing.cleanup import Cleaning, Sweeps
from whatsapp_pairing.core.errors import DatabaseUnavailable, PairingError
from whatsapp_pairing.keeper.devices import Devices
from whatsapp_pairing.keeper.unlink import unlink
from whatsapp_pairing.pairing.attempt import Again, Phase, Wait
from whatsapp_pairing.pairing.attempts import Attempts
from whatsapp_pairing.pairing.connect import connect
from whatsapp_pairing.pairing.disconnect import disconnect
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.pairing.linker import link
from whatsapp_pairing.pairing.phases import open_phase, settle_phase
from whatsapp_pairing.pairing.services import Services
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime.database import Connection, Database, T
from whatsapp_pairing.session.sessions import Sessions

from tests.support.adv_secret import Secret
from tests.support.logins import connect as log_in
from tests.support.logins import login
from tests.support.repositories import LIMIT, WINDOW, World
from tests.support.whatsmeow_tables import SAVE, keys
from tests.system.model.interrupted_calls import InterruptedWorkflow, Late, WatchedRepository
from tests.system.model.modelled_step_functions import Execution, definition
from tests.system.model.modelled_whatsapp import EngineRun, ModelledEngines
from tests.system.model.process import Order, Process
from tests.system.model.promises import Promises

# After how many seconds Lambda kills each function, and the pauses before it tries an asynchronous call again
# (template.yaml).
_TIMEOUTS = {
    "connect": 10, "disconnect": 10, "OpenPhase": 10, "SettlePhase": 10, "linker": 420, "unlink": 90, "cleanup": 120,
}  # fmt: skip
_RETRIES = (60.0, 120.0)
_TIMES = "SELECT format('%I.%I', table_schema, table_name) AS name, array_agg(column_name::text) AS columns " \
    "FROM information_schema.columns WHERE data_type = 'timestamp with time zone' " \
    "AND table_schema IN ('public', 'whatsapp_private') AND column_name <> 'wait_entered_at' GROUP BY 1"  # fmt: skip
_PRE_KEY = "INSERT INTO whatsapp_engine.whatsmeow_pre_keys VALUES (%s, 1, %s, false) ON CONFLICT DO NOTHING"


class ModelledSystem:
    """The whole system during one story.

    Attributes
    ----------
    users : dict
        The phone number of each user who exists.
    linked : dict
        The fingerprint of each device that the phones list, by JID.
    invoked : list
        Every asynchronous invocation so far: the function, and its attempt or device.
    opened : list
        The payload of ``OpenPhase`` for each wait so far.
    late : list of Late
        Calls that may still reach Postgres.
    fault : callable or None
        Called before each call of a process. It may kill or freeze the process, and decides what happens to the call.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.name = "model"
        self.now = 0.0
        self.serial = itertools.count(1)
        self.users: dict[UUID, str] = {}
        self.processes: list[Process] = []
        self.executions: dict[UUID, Execution] = {}
        self.runs: list[EngineRun] = []
        self.linked: dict[str, bytes] = {}
        self.invoked: list[tuple[str, UUID]] = []
        self.opened: list[dict[str, Any]] = []
        self.late: list[Late] = []
        self.fault: Callable[[Process], Order] | None = None
        self.agreeable = False
        self.one_phone = False
        self._retries: list[tuple[float, UUID, int]] = []
        self._definition = definition(int(WINDOW))
        self._api, self._worker = world.databases
        self._owners = log_in(world.url)
        self._engine = log_in(login(world.url, "whatsapp_engine"))
        self._shift = self._shift_statement()
        self._measured_at = time.monotonic()
        self.sessions = Sessions(self._api)
        self.promises = Promises(self)

    # ── people ──

    def add_user(self) -> UUID:
        """Add a user with a new phone, or with the one phone that all share."""
        user = self.world.user()
        self.users[user] = "5215550000" if self.one_phone else f"52155500{len(self.users):02}"
        return user

    def delete_user(self, user: UUID) -> None:
        """Delete the user."""
        self.world.sql("DELETE FROM auth.users WHERE id = %s", user)
        del self.users[user]

    def click(self, user: UUID) -> Process:
        """The user clicks "Connect"."""
        return self._spawn("connect", lambda process: connect(
            user, WINDOW, LIMIT, self._services(process)
        ))  # fmt: skip

    def give_up(self, user: UUID) -> Process:
        """The user clicks "Disconnect"."""
        return self._spawn("disconnect", lambda process: disconnect(
            user, self._services(process)
        ))  # fmt: skip

    # ── functions ──

    def invoke(self, function: str, payload: dict[str, Any], ended: Callable[[Process], None]) -> None:
        """The workflow calls a function."""
        attempt_id = UUID(payload["attemptId"])
        if function == "OpenPhase" and payload not in self.opened:
            self.opened.append(payload)

        def work(process: Process) -> object:
            services = self._services(process)
            if function == "OpenPhase":
                wait = Wait(Phase(payload["phase"]), payload["taskToken"], payload["enteredAt"])
                return open_phase(attempt_id, wait, WINDOW, services)
            step = settle_phase(attempt_id, payload["error"], services)
            if isinstance(step, Again):
                return {"next": step.phase, "seconds": step.seconds, "heartbeat": step.heartbeat, "pause": step.pause}
            return {"next": step, "seconds": 0, "heartbeat": 0, "pause": 0}

        self._spawn(function, work, ended).attempt_id = attempt_id

    def open_again(self, payload: dict[str, Any]) -> None:
        """Lambda repeats the call of a wait. The workflow does not get the answer."""
        self.invoke("OpenPhase", payload, lambda _: None)

    def call_linker(self, attempt_id: UUID) -> None:
        """Start a linker."""
        self._spawn("linker", lambda process: link(
            attempt_id, self._watched(Leases, process), self._watched(SessionRows, process),
            InterruptedWorkflow(self, process), ModelledEngines(self, process),
            lambda: self.now, lambda seconds: self._sleep(process, seconds),
        )).attempt_id = attempt_id  # fmt: skip

    def call_unlink(self, device_id: UUID, tried: int = 0) -> None:
        """Start an unlink. Lambda repeats one that fails."""

        def ended(process: Process) -> None:
            if process.error and tried < len(_RETRIES):
                self._retries.append((self.now + _RETRIES[tried], device_id, tried + 1))

        self._spawn("unlink", lambda process: unlink(
            device_id, self._watched(Devices, process), ModelledEngines(self, process),
            lambda: self.now, lambda seconds: self._sleep(process, seconds),
        ), ended).device_id = device_id  # fmt: skip

    def clean(self) -> Process:
        """Start cleanup, as its schedule does."""

        def work(process: Process) -> object:
            sweeps = self._watched(Sweeps, process)
            return Cleaning(self._services(process), sweeps, lambda: process.dies_at - self.now).run()

        return self._spawn("cleanup", work)

    def database_of(self, process: Process) -> Database:
        """The database, with the login role of the process's function."""
        return self._api if process.name.split()[0] in ("connect", "disconnect") else self._worker

    def start(self, attempt_id: UUID) -> None:
        """Start an execution, unless its name was used before."""
        if attempt_id not in self.executions:
            self.executions[attempt_id] = Execution(attempt_id, self._definition, self)

    def _services(self, process: Process) -> Services:
        steps: Any = InterruptedWorkflow(self, process)
        return Services(self._watched(Attempts, process), self._watched(SessionRows, process), steps)

    def _watched(self, repository: type[Any], process: Process) -> Any:
        return WatchedRepository(repository, self, process)

    def _sleep(self, process: Process, seconds: float) -> None:
        process.doing = ""
        process.stop(self.now + seconds)

    # ── Postgres ──

    def exchange(self, process: Process, work: Callable[[Connection], T], row_is_locked: bool = False) -> T:
        """Run the statement of a process, with the users' session rows locked if so told."""
        with self.promises.statement(process):
            if not row_is_locked:
                return self.database_of(process).run(work)
            with self._owners.transaction():
                self._owners.execute("SELECT FROM public.whatsapp_sessions FOR UPDATE")
                try:
                    return self.database_of(process).run(work)
                except DatabaseUnavailable as error:
                    raise AssertionError(f"{process} waits for the lock on a user's row: {error}") from error

    def arrive(self, late: Late) -> None:
        """Let a late call reach Postgres. No process gets the answer."""
        self.late.remove(late)
        with contextlib.suppress(PairingError):
            self.exchange(late.process, late.work)

    def _spawn(
        self, kind: str, work: Callable[[Process], Any], ended: Callable[[Process], None] | None = None
    ) -> Process:
        def over(process: Process) -> None:
            self.processes.remove(process)
            if isinstance(process.error, Exception) and not isinstance(process.error, PairingError):
                raise process.error
            if ended:
                ended(process)

        process = Process(f"{kind} {next(self.serial)}", work, self.now + _TIMEOUTS[kind], over)
        self.processes.append(process)
        return process

    # ── WhatsApp ──

    def link(self, secret: Secret) -> str:
        """A phone scans: it lists the device, and whatsmeow stores the keys."""
        device = self.world.device(secret)
        number = self.users.get(device["user_id"], "5215550099") if device else "5215550098"
        jid = next(
            jid for device in itertools.count(1) if (jid := f"{number}:{device}@s.whatsapp.net") not in self.linked
        )  # WhatsApp gives a JID out again, even while keys of its earlier device are stored
        self._engine.execute(SAVE, keys(secret, jid))
        self._engine.execute(_PRE_KEY, (jid, secret.bytes))
        self.linked[jid] = secret.fingerprint
        return jid

    def keys_of(self, jid: str) -> bytes | None:
        """The fingerprint of the keys that an engine finds under this JID."""
        row = self._engine.execute(
            "SELECT sha256(adv_key) AS fingerprint FROM whatsapp_engine.whatsmeow_device WHERE jid = %s", (jid,)
        ).fetchone()
        return row["fingerprint"] if row else None

    def drop_keys(self, jid: str) -> None:
        """Delete keys by the JID alone, as whatsmeow does when WhatsApp has removed the device."""
        self._engine.execute("DELETE FROM whatsapp_engine.whatsmeow_device WHERE jid = %s", (jid,))

    def owner(self, run: EngineRun) -> UUID | None:
        """The user whose attempt an engine works for."""
        found = self.world.sql(
            "SELECT user_id FROM whatsapp_private.attempts WHERE id = %s", run.process.attempt_id
        )  # fmt: skip
        return found[0]["user_id"] if found else None

    # ── time ──

    def run(self, process: Process, order: Order = Order.DO) -> None:
        """Let a process run until it waits. The order is for its next call."""
        while process.ready(self.now):
            if self.fault and order is Order.DO:
                order = self.fault(process)
                if not process.ready(self.now):
                    return
            process.resume(order)
            order = Order.DO

    def run_all(self) -> None:
        """Let every process run until all wait."""
        while ready := [process for process in self.processes if process.ready(self.now)]:
            self.run(ready[0])
            if self.agreeable:
                for run in [run for run in self.runs if run.task == "log_out" and "log_out" in run.moves]:
                    run.make("log_out")

    def pass_time(self, seconds: float) -> None:
        """Let time pass while no process runs."""
        self.now += seconds
        self.stand_still(seconds)
        for execution in list(self.executions.values()):
            execution.tick()
        for due in [retry for retry in self._retries if retry[0] <= self.now]:
            self._retries.remove(due)
            self.call_unlink(*due[1:])
        for process in [process for process in self.processes if process.dies_at <= self.now]:
            process.kill()
        self.late = [late for late in self.late if late.until > self.now]

    def live(self, seconds: float) -> None:
        """Let time pass while every process acts as soon as it is due."""
        until = self.now + seconds
        self.run_all()
        while self.now < until:
            moments = [process.due for process in self.processes if not process.frozen]
            moments += [process.dies_at for process in self.processes]
            moments += [at for execution in self.executions.values() if (at := execution.next_tick) is not None]
            moments += [retry[0] for retry in self._retries]
            # A little later than due, because the clocks of the database and the model may differ in the last digit.
            self.pass_time(min([until, *(max(moment, self.now) + 0.1 for moment in moments)]) - self.now)
            self.run_all()

    def stand_still(self, seconds: float = 0.0) -> None:
        """Move every time in the database back by `seconds`, and forward by the time that the test itself took."""
        now = time.monotonic()
        by, self._measured_at = seconds - (now - self._measured_at), now
        self.world.sql(self._shift.replace("SECONDS", f"{by:.6f}"))

    def end(self) -> None:
        """Kill every process and stop every execution."""
        for process in list(self.processes):
            process.kill()
        for execution in self.executions.values():
            execution.vanish()
        self._retries.clear()
        self.late.clear()

    def close(self) -> None:
        """Close the system's own connections."""
        self._owners.close()
        self._engine.close()

    def _shift_statement(self) -> str:
        updates = [
            f"UPDATE {row['name']} SET " + ", ".join(f"{name} = {name} - s" for name in row["columns"])
            + " FROM make_interval(secs => SECONDS) s"
            for row in self.world.sql(_TIMES)
        ]  # fmt: skip
        # As replica, Postgres skips the trigger that would set `updated_at` to the present.
        return "; ".join(["BEGIN", "SET LOCAL session_replication_role = replica", *updates, "COMMIT"])
