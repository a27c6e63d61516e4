"""The linker: it turns the events of engines into database calls and workflow answers, for one attempt."""

import math
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID, uuid4

from whatsapp_pairing import counting
from whatsapp_pairing import engine as port
from whatsapp_pairing.backoff import Backoff
from whatsapp_pairing.errors import SecretUnavailable, StoreUnavailable
from whatsapp_pairing.notices import Notice
from whatsapp_pairing.observability import logger
from whatsapp_pairing.pairing.hold import Hold, LeaseLost
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.repository.leases import Leases
from whatsapp_pairing.repository.rows import Rows
from whatsapp_pairing.results import Outcome, Result
from whatsapp_pairing.session import Phase, timeout_reason
from whatsapp_pairing.workflow import Workflow

# How long a step may take before a fresh engine tries it: from dialling to WhatsApp's first word, and from the scan (a
# resumed device: from that first word) to the login. Only the attempt's window limits the wait for a QR and for a scan.
REACH_SECONDS: Final = 30.0
LOGIN_STEP_SECONDS: Final = 15.0
# The linker starts a fresh engine for this long after a fault of the engine's database that may pass.
STORE_SECONDS: Final = 15.0
# The phone shows "logging in" until its first sync is through. A phone that does not report the end of the sync counts
# as connected after this time.
SYNC_SECONDS: Final = 15.0
# A device that is online when the window ends counts as connected. The linker writes that this much earlier. Otherwise
# the workflow would end the attempt first.
RECORD_SECONDS: Final = 2.0


def link(
    attempt_id: UUID,
    leases: Leases,
    rows: Rows,
    workflow: Workflow,
    engine: port.Engine,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Result | Reason:
    """Hold WhatsApp for an attempt until it is connected or over.

    Parameters
    ----------
    clock, sleep : callable
        Seconds, monotonic.

    Returns
    -------
    Result or Reason
        ``CONNECTED``, a verdict, ``LOST`` or ``NOT_NEEDED``.
    """
    lease = uuid4()
    asked_at = clock()
    attempt = leases.take(attempt_id, lease)
    if attempt is None:
        return Result.NOT_NEEDED
    if attempt.legs > 1:
        counting.linker_replaced()
    hold = Hold(attempt, asked_at, lease, leases, workflow, clock, sleep)
    try:
        return _Linker(hold, leases, rows, workflow, engine, clock).run()
    except LeaseLost:
        _let_go(attempt_id, lease, leases, workflow)
        return Result.LOST
    except Exception:
        # Let go of the lease before failing, so that open_phase starts another linker when the workflow asks again.
        leases.release(attempt_id, lease, None)
        raise


def _let_go(attempt_id: UUID, lease: UUID, leases: Leases, workflow: Workflow) -> None:
    """Let go of the devices, and unlink those that a phone scanned in the moment in which the attempt ended."""
    try:
        workflow.call_unlinks(leases.let_go(attempt_id, lease))
    except (StoreUnavailable, SecretUnavailable):
        logger.warning("the database or its secret is away; cleanup will look after the devices", exc_info=True)


class _Linker:
    def __init__(
        self,
        hold: Hold,
        leases: Leases,
        rows: Rows,
        workflow: Workflow,
        engine: port.Engine,
        clock: Callable[[], float],
    ) -> None:
        self._hold = hold
        self._leases = leases
        self._rows = rows
        self._workflow = workflow
        self._engine = engine
        self._clock = clock
        self._backoff = Backoff()
        self._jid: str | None = None
        # The fingerprints of the QRs that the present engine has brought.
        self._offered: list[bytes] = []
        self._online: port.Online | None = None
        self._synced = False
        # When this engine's first QR has lasted for its whole time, or when a phone scanned. If the engine ends later,
        # the pauses start over.
        self._held_at: float | None = None
        self._dialling = True
        self._step_ends_at: float | None = None
        self._store_fails_since: float | None = None
        # The row may show the QR of the linker before this one.
        self._row_version = None if hold.attempt.legs > 1 else hold.attempt.version

    def run(self) -> Outcome:
        """Run one engine after another until the attempt is decided, and record the decision."""
        while True:
            self._jid = self._hold.attempt.stored_jid
            if self._jid:
                self._bind(self._jid)
            self._online, self._synced, self._held_at = None, False, None
            self._offered.clear()
            with self._start_engine() as run, self._hold.running(run):
                decision = self._drive(run)
            # Write only after the engine has ended: unlink or the next linker may then open the device at once.
            if isinstance(decision, Reason):
                return self._record_verdict(decision)
            if decision is Result.CONNECTED:
                return self._record_connected()
            if decision is Result.REFUSED:
                if not self._hold.attempt.may_scan_again:
                    return self._record_verdict(Reason.PAIRING_REJECTED)
                self._record_refusal()
                continue
            self._hold.renew(ended=self._offered[-1] if self._offered else None)
            self._write_row()
            if self._held_at is not None and self._clock() >= self._held_at:
                self._backoff.reset()
            self._hold.rest(self._backoff.next())

    def _start_engine(self) -> port.EngineRun:
        until = self._hold.engine_ends_at
        return self._engine.resume(self._jid, until) if self._jid else self._engine.pair(until)

    def _drive(self, run: port.EngineRun) -> Result | Reason:
        """Handle the events of one engine until they decide the attempt, or the engine is of no more use."""
        self._dialling = True
        self._limit_step(REACH_SECONDS)
        while True:
            self._hold.keep()
            self._write_row()
            if self._other_engine_has_keys():
                return Result.NEW_ENGINE
            if decision := self._overdue():
                return decision
            event = run.next_event(self._until_due())
            if event is None:
                continue
            self._dialling = False
            logger.info("engine event", extra={"event": type(event).__name__})
            follows = self._handle(event)
            if follows is not None:
                return follows

    def _handle(self, event: port.Event) -> Result | Reason | None:  # noqa: PLR0911, PLR0912  one case for each event
        """Return what follows from the event; None when the engine goes on."""
        match event:
            case port.Reached():
                self._limit_step(LOGIN_STEP_SECONDS if self._jid else None)
            case port.Qr():
                self._hold.found_reachable(True)
                self._store_fails_since = None
                self._limit_step(None)
                if self._held_at is None:
                    self._held_at = self._clock() + event.seconds
                self._show(event)
            case port.Scanned(jid):
                self._held_at = self._clock()
                self._bind(jid)
                self._limit_step(LOGIN_STEP_SECONDS)
            case port.Online():
                self._online = event
                self._limit_step(SYNC_SECONDS)
                return Result.CONNECTED if self._synced else None
            case port.Synced():
                # Online and Synced come in either order.
                self._synced = True
                return Result.CONNECTED if self._online else None
            case port.LoggedOut():
                if self._online:
                    return Reason.UNLINKED_FROM_PHONE
                # WhatsApp does not know the device that a phone has just linked, so the phone must link another one.
                return Result.REFUSED if self._jid else Result.NEW_ENGINE
            case port.Refused(reason):
                return Result.REFUSED if reason is Reason.PAIRING_REJECTED else reason
            case port.Unreachable():
                self._hold.found_reachable(False)
                return Result.NEW_ENGINE
            case port.StoreFailed():
                return self._after_store_failure(event)
            case port.Died(why):
                logger.warning("engine died", extra={"why": why})
                return Result.NEW_ENGINE
            case port.Exhausted() | port.Replaced():
                return Result.NEW_ENGINE
        return None

    def _other_engine_has_keys(self) -> bool:
        """Return whether a phone has scanned the QR of an earlier engine, so that its device must be resumed.

        Note the scan in any case. When the present engine offered the device, it goes on: its own event is on the way.
        """
        stored = self._hold.attempt
        if self._jid or stored.stored_jid is None:
            return False
        self._bind(stored.stored_jid)
        if stored.stored_fingerprint in self._offered:
            self._limit_step(LOGIN_STEP_SECONDS)
            return False
        logger.info("a phone has scanned the QR of an earlier engine")
        return True

    def _after_store_failure(self, failure: port.StoreFailed) -> Result | Reason:
        """Try a fresh engine while the fault may pass; otherwise count the failure and end the attempt.

        An engine that shows a QR uses its database only when a phone scans. So that scan was refused: show another QR.
        """
        if self._store_fails_since is None:
            self._store_fails_since = self._clock()
        refused = bool(self._offered) and not self._jid
        if failure.passes and refused and self._hold.attempt.may_scan_again:
            return Result.REFUSED
        if failure.passes and not refused and self._clock() < self._store_fails_since + STORE_SECONDS:
            return Result.NEW_ENGINE
        counting.engine_store_failed()
        return Reason.LINKER_FAILED

    def _show(self, qr: port.Qr) -> None:
        first = not self._hold.attempt.qr_shown
        notice = Notice.SCAN_AGAIN if qr.renewed else None
        self._offered.append(qr.fingerprint)
        self._hold.write(self._leases.show_qr, qr.text, qr.seconds, qr.fingerprint, notice)
        if first:
            counting.first_qr(self._hold.attempt)
        if self._hold.attempt.phase is Phase.QR:
            self._hold.tell(self._workflow.succeed)
        self._write_row()

    def _bind(self, jid: str) -> None:
        self._hold.write(self._leases.scanned, jid)
        self._jid = jid
        self._write_row()

    def _write_row(self) -> None:
        """Write the user's row if the session has changed since it was last written."""
        version = self._hold.attempt.version
        if version != self._row_version:
            self._rows.write(self._hold.attempt.user_id, version)
            self._row_version = version

    def _record_connected(self) -> Outcome:
        assert self._online
        jid, hold = self._online.jid, self._hold
        done = hold.ask(lambda: self._leases.connected(hold.attempt.id, hold.lease, jid))
        if done is None:
            raise LeaseLost
        hold.note(done.attempt)
        counting.connected(hold.attempt)
        hold.tell(self._workflow.succeed)
        self._write_row()
        if done.given_up:
            self._workflow.call_unlinks(done.given_up)
        return Result.CONNECTED

    def _record_verdict(self, reason: Reason) -> Reason:
        self._hold.write(self._leases.release, reason)
        self._hold.tell(self._workflow.fail)
        self._write_row()
        return reason

    def _record_refusal(self) -> None:
        self._hold.write(self._leases.refuse, self._hold.attempt.refusals, self._jid)
        self._write_row()

    def _overdue(self) -> Result | Reason | None:
        """Return what follows from the time alone: the window is over, or a step has taken too long."""
        now = self._clock()
        if self._online:
            return Result.CONNECTED if self._step_over(now) or now >= self._ends_at() else None
        if now >= self._ends_at():
            # Look once more: a phone may have scanned since the last renewal.
            self._hold.renew()
            if self._other_engine_has_keys():
                return Result.NEW_ENGINE
            return None if self._clock() < self._ends_at() else timeout_reason(self._hold.attempt)
        if self._step_over(now):
            logger.warning("WhatsApp is silent; a fresh engine tries")
            if self._dialling:
                self._hold.found_reachable(False)
            return Result.NEW_ENGINE
        return None

    def _ends_at(self) -> float:
        return self._hold.ends_at - (RECORD_SECONDS if self._online else 0)

    def _step_over(self, now: float) -> bool:
        return self._step_ends_at is not None and now >= self._step_ends_at

    def _limit_step(self, seconds: float | None) -> None:
        self._step_ends_at = None if seconds is None else self._clock() + seconds

    def _until_due(self) -> float:
        due = min(self._hold.renew_at, self._ends_at(), self._step_ends_at or math.inf)
        return max(0.01, due - self._clock())
