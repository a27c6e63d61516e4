"""A linker's watch over one engine: what follows from each event, and from missing events."""

import math
from collections.abc import Callable
from typing import Final

from whatsapp_pairing.core import engine as port
from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.core.results import Result
from whatsapp_pairing.pairing.attempt import Phase, timeout_reason
from whatsapp_pairing.pairing.hold import Hold
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.runtime import metrics
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.workflow import Workflow

# How long a step may take. After that, a fresh engine tries the step again. REACH_SECONDS counts from dialling to
# WhatsApp's first answer. LOGIN_STEP_SECONDS counts from the scan to the login; for a resumed device, it counts from
# that first answer. The QR and the scan have no such limit: the engine may wait for them until the attempt's window
# ends.
REACH_SECONDS: Final = 30.0
LOGIN_STEP_SECONDS: Final = 15.0
# After a fault of the engine's database that may pass, the linker starts fresh engines for this long.
DATABASE_SECONDS: Final = 15.0
# The phone shows "logging in" until its first sync is finished. If the phone does not report that end, the device
# counts as connected after this time.
SYNC_SECONDS: Final = 15.0
# A device that is online when the window ends counts as connected. The linker records this RECORD_SECONDS before the
# end. Otherwise the workflow would end the attempt first.
RECORD_SECONDS: Final = 2.0


class Watch:
    """What one engine has done so far, and what follows.

    Parameters
    ----------
    clock : callable
        Seconds, monotonic.
    database_fails_since : float or None
        Since when the engine's database has failed, by ``clock``. The linker passes this on to the next engine's watch.

    Attributes
    ----------
    jid : str or None
        The device that a phone has linked; None before the scan.
    offered : list of bytes
        The fingerprints of the QRs that the engine has brought.
    online : Online or None
        The event by which the device has logged in.
    """

    def __init__(
        self,
        hold: Hold,
        leases: Leases,
        workflow: Workflow,
        clock: Callable[[], float],
        database_fails_since: float | None,
    ) -> None:
        self._hold = hold
        self._leases = leases
        self._workflow = workflow
        self._clock = clock
        self.database_fails_since = database_fails_since
        self.jid = hold.attempt.stored_jid
        self.offered: list[bytes] = []
        self.online: port.Online | None = None
        self._synced = False
        self._lasts_until: float | None = None
        self._dialling = True
        self._step_ends_at: float | None = None
        if self.jid:
            self._bind(self.jid)

    @property
    def lasted(self) -> bool:
        """Whether a phone has scanned, or the engine's first QR has lasted for its whole time."""
        return self._lasts_until is not None and self._clock() >= self._lasts_until

    def drive(self, run: port.EngineRun) -> Result | Reason:
        """Handle the engine's events until they decide the attempt, or until another engine is needed.

        Raises
        ------
        LeaseLost
        """
        self._limit_step(REACH_SECONDS)
        while True:
            self._hold.keep()
            self._hold.show()
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
                self._limit_step(LOGIN_STEP_SECONDS if self.jid else None)
            case port.Qr():
                self._hold.found_reachable(True)
                self.database_fails_since = None
                self._limit_step(None)
                if self._lasts_until is None:
                    self._lasts_until = self._clock() + event.seconds
                self._show_qr(event)
            case port.Scanned(jid):
                self._lasts_until = self._clock()
                self._bind(jid)
                self._limit_step(LOGIN_STEP_SECONDS)
            case port.Online():
                self.online = event
                self._limit_step(SYNC_SECONDS)
                return Result.CONNECTED if self._synced else None
            case port.Synced():
                # Online and Synced come in either order.
                self._synced = True
                return Result.CONNECTED if self.online else None
            case port.LoggedOut():
                if self.online:
                    return Reason.UNLINKED_FROM_PHONE
                # WhatsApp does not know the device that a phone has just linked, so the phone must link another one.
                return Result.REFUSED if self.jid else Result.NEW_ENGINE
            case port.Refused(reason):
                return Result.REFUSED if reason is Reason.PAIRING_REJECTED else reason
            case port.Unreachable():
                self._hold.found_reachable(False)
                return Result.NEW_ENGINE
            case port.DatabaseFailed():
                return self._after_database_failure(event)
            case port.Died(why):
                logger.warning("engine died", extra={"why": why})
                return Result.NEW_ENGINE
            case port.Exhausted() | port.Replaced():
                return Result.NEW_ENGINE
        return None

    def _other_engine_has_keys(self) -> bool:
        """Return whether a phone has scanned the QR of an earlier engine. A new engine must then resume that device.

        The scan is recorded in any case. If the present engine has offered the device, this engine goes on, because its
        own event ``Scanned`` will follow.
        """
        stored = self._hold.attempt
        if self.jid or stored.stored_jid is None:
            return False
        self._bind(stored.stored_jid)
        if stored.stored_fingerprint in self.offered:
            self._limit_step(LOGIN_STEP_SECONDS)
            return False
        logger.info("a phone has scanned the QR of an earlier engine")
        return True

    def _after_database_failure(self, failure: port.DatabaseFailed) -> Result | Reason:
        """Try a fresh engine while the fault may pass; otherwise count the failure and end the attempt.

        An engine that shows a QR uses its database only when a phone scans. So this failure means that the scan was
        refused, and another QR follows.
        """
        if self.database_fails_since is None:
            self.database_fails_since = self._clock()
        refused = bool(self.offered) and not self.jid
        if failure.passes and refused and self._hold.attempt.may_scan_again:
            return Result.REFUSED
        if failure.passes and not refused and self._clock() < self.database_fails_since + DATABASE_SECONDS:
            return Result.NEW_ENGINE
        metrics.engine_database_failed()
        return Reason.LINKER_FAILED

    def _show_qr(self, qr: port.Qr) -> None:
        first = not self._hold.attempt.qr_shown
        notice = Notice.SCAN_AGAIN if qr.renewed else None
        self.offered.append(qr.fingerprint)
        self._hold.write(self._leases.show_qr, qr.text, qr.seconds, qr.fingerprint, notice)
        if first:
            metrics.first_qr(self._hold.attempt.age)
        if self._hold.attempt.phase is Phase.QR:
            self._hold.tell(self._workflow.succeed)
        self._hold.show()

    def _bind(self, jid: str) -> None:
        self._hold.write(self._leases.scanned, jid)
        self.jid = jid
        self._hold.show()

    def _overdue(self) -> Result | Reason | None:
        """Return what follows when the window is over, or when a step has taken too long."""
        now = self._clock()
        if self.online:
            return Result.CONNECTED if self._step_over(now) or now >= self._ends_at() else None
        if now >= self._ends_at():
            # Ask the database once more, because a phone may have scanned since the last renewal.
            self._hold.renew()
            if self._other_engine_has_keys():
                return Result.NEW_ENGINE
            return None if self._clock() < self._ends_at() else timeout_reason(self._hold.attempt)
        if self._step_over(now):
            logger.warning("WhatsApp does not answer; a fresh engine tries")
            if self._dialling:
                self._hold.found_reachable(False)
            return Result.NEW_ENGINE
        return None

    def _ends_at(self) -> float:
        return self._hold.ends_at - (RECORD_SECONDS if self.online else 0)

    def _step_over(self, now: float) -> bool:
        return self._step_ends_at is not None and now >= self._step_ends_at

    def _limit_step(self, seconds: float | None) -> None:
        self._step_ends_at = None if seconds is None else self._clock() + seconds

    def _until_due(self) -> float:
        due = min(self._hold.lease.renew_at, self._ends_at(), self._step_ends_at or math.inf)
        return max(0.01, due - self._clock())
