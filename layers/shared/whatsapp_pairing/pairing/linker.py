"""The linker: it runs one engine after another for an attempt, and records what they decide."""

import time
from collections.abc import Callable
from uuid import UUID, uuid4

from whatsapp_pairing.core.backoff import Backoff
from whatsapp_pairing.core.engine import Engine, EngineRun
from whatsapp_pairing.core.errors import DatabaseUnavailable, SecretUnavailable
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.core.results import Outcome, Result
from whatsapp_pairing.pairing.hold import Hold
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.pairing.watch import Watch
from whatsapp_pairing.runtime import metrics
from whatsapp_pairing.runtime.lease import Lease, LeaseLost
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.workflow import Workflow


def link(
    attempt_id: UUID,
    leases: Leases,
    session_rows: SessionRows,
    workflow: Workflow,
    engine: Engine,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Result | Reason:
    """Run engines for an attempt until the attempt has ended or needs another linker.

    Parameters
    ----------
    clock, sleep : callable
        Seconds, monotonic.

    Returns
    -------
    Result or Reason
        ``CONNECTED``, a verdict, ``LOST`` or ``NOT_NEEDED``.
    """
    lease_id = uuid4()
    asked_at = clock()
    attempt = leases.take(attempt_id, lease_id)
    if attempt is None:
        return Result.NOT_NEEDED
    if attempt.linkers > 1:
        metrics.linker_replaced()
    lease = Lease(lease_id, asked_at, clock, sleep)
    hold = Hold(attempt, lease, leases, session_rows, workflow, clock, sleep)
    try:
        return _Linker(hold, leases, workflow, engine, clock).run()
    except LeaseLost:
        _let_go(attempt_id, lease_id, leases, workflow)
        return Result.LOST
    except Exception:
        # Release the attempt, so that open_phase starts another linker when the workflow enters the wait again.
        leases.release(attempt_id, lease_id, None)
        raise


def _let_go(attempt_id: UUID, lease_id: UUID, leases: Leases, workflow: Workflow) -> None:
    """Let go of the devices, and unlink those that a phone scanned just when the attempt ended."""
    try:
        workflow.call_unlinks(leases.let_go(attempt_id, lease_id))
    except (DatabaseUnavailable, SecretUnavailable):
        logger.warning("the database or its secret is away; cleanup will look after the devices", exc_info=True)


class _Linker:
    def __init__(
        self, hold: Hold, leases: Leases, workflow: Workflow, engine: Engine, clock: Callable[[], float]
    ) -> None:
        self._hold = hold
        self._leases = leases
        self._workflow = workflow
        self._engine = engine
        self._clock = clock
        self._backoff = Backoff()

    def run(self) -> Outcome:
        """Run one engine after another until the attempt is decided, and record the decision."""
        database_fails_since: float | None = None
        while True:
            watch = Watch(self._hold, self._leases, self._workflow, self._clock, database_fails_since)
            with self._start_engine(watch.jid) as run, self._hold.lease.running(run):
                decision = watch.drive(run)
            database_fails_since = watch.database_fails_since
            # Record the decision only after the engine has ended. An unlink may then start an engine for the device.
            if isinstance(decision, Reason):
                return self._record_verdict(decision)
            if decision is Result.CONNECTED:
                return self._record_connected(watch)
            if decision is Result.REFUSED:
                if not self._hold.attempt.may_scan_again:
                    return self._record_verdict(Reason.PAIRING_REJECTED)
                self._record_refusal(watch)
                continue
            self._hold.renew(ended=watch.offered[-1] if watch.offered else None)
            self._hold.show()
            if watch.lasted:
                self._backoff.reset()
            self._hold.rest(self._backoff.next())

    def _start_engine(self, jid: str | None) -> EngineRun:
        until = self._hold.lease.engine_ends_at
        return self._engine.resume(jid, until) if jid else self._engine.pair(until)

    def _record_connected(self, watch: Watch) -> Outcome:
        assert watch.online
        jid, hold = watch.online.jid, self._hold
        done = hold.lease.ask(lambda: self._leases.connected(hold.attempt.id, hold.lease.id, jid))
        if done is None:
            raise LeaseLost
        hold.note(done.attempt)
        metrics.connected(hold.attempt.age, hold.attempt.since_scan, hold.attempt.linkers)
        hold.tell(self._workflow.succeed)
        hold.show()
        if done.given_up:
            self._workflow.call_unlinks(done.given_up)
        return Result.CONNECTED

    def _record_verdict(self, reason: Reason) -> Reason:
        self._hold.write(self._leases.release, reason)
        self._hold.tell(self._workflow.fail)
        self._hold.show()
        return reason

    def _record_refusal(self, watch: Watch) -> None:
        self._hold.write(self._leases.refuse, self._hold.attempt.refusals, watch.jid)
        self._hold.show()
