"""WhatsApp with its engines and phones: the linked devices, and what may happen to an engine next."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from whatsapp_pairing.core.engine import (
    Died,
    Event,
    Exhausted,
    LoggedOut,
    Online,
    Qr,
    Reached,
    Refused,
    Replaced,
    Scanned,
    Synced,
    Unreachable,
)
from whatsapp_pairing.core.reasons import Reason

from tests.support.adv_secret import Secret
from tests.system.model.process import Process

if TYPE_CHECKING:
    from tests.system.model.modelled_system import ModelledSystem

# A device offers six QRs: the first lasts 60 seconds, the others 20 each. Later no phone can scan it.
QR_LIFE_SECONDS = 160.0
_QRS = 6


class EngineRun:
    """One running engine of a process.

    Attributes
    ----------
    secret : Secret or None
        The adv secret of the device that the engine offers.
    jid : str or None
        The JID of the device that the engine has linked or opened.
    """

    def __init__(
        self, system: ModelledSystem, process: Process, task: str, until: float, jid: str | None = None
    ) -> None:
        self._system, self.process, self._until = system, process, until
        self.task, self.jid = task, jid
        self.secret = Secret(f"{system.name} device {next(system.serial)}") if task == "pair" else None
        # The fingerprint of the keys that the engine has loaded by the JID, or has stored.
        self.fingerprint: bytes | None = None
        self._texts: list[str] = []
        self._scannable: list[str] = []  # the QRs with the present secret
        self._shown_at: float | None = None
        self._said: set[str] = set()
        self._dead = False

    def __repr__(self) -> str:
        return f"<{self.task} in {self.process}>"

    def __enter__(self) -> EngineRun:
        if self.jid:
            self._system.promises.opens(self.process, self.jid)
            self.fingerprint = self._system.keys_of(self.jid)
        self._system.runs.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._dead = True
        self._system.runs.remove(self)
        self.process.inbox.clear()

    def next_event(self, timeout: float) -> Event | None:
        """Wait for the next event that the test makes."""
        inbox = self.process.inbox
        if not inbox and not self._its_time_is_over:
            self.process.doing = ""
            self.process.stop(min(self._system.now + timeout, self._until))
        if inbox:
            return inbox.pop(0)
        return Died("its time was over") if self._its_time_is_over else None

    def live_until(self, moment: float) -> None:
        """Extend the engine's life, unless it has ended."""
        if not self._its_time_is_over:
            self._until = moment

    @property
    def lives(self) -> bool:
        """Whether the engine runs, so that it may still talk to WhatsApp and Postgres."""
        return not self._dead and not self._its_time_is_over

    @property
    def _its_time_is_over(self) -> bool:
        return self._system.now >= self._until

    # ── what may happen ──

    @property
    def moves(self) -> list[str]:
        """What may happen to the engine now. The first move is what happens when all goes well."""
        return [] if not self.lives else [*self._good(), *self._bad()]

    @property
    def scannable(self) -> bool:
        """Whether a session has shown a QR of this engine that a phone can still scan."""
        if self._shown_at is None or self.jid or not self.lives:
            return False
        if self._system.now >= self._shown_at + QR_LIFE_SECONDS:
            return False
        return not self._system.promises.seen.isdisjoint(self._scannable)

    def make(self, move: str) -> None:
        """Let this move happen."""
        assert move in self.moves
        getattr(self, f"do_{move}")()

    def _good(self) -> list[str]:
        if self.task == "log_out":
            return [] if "online" in self._said else ["log_out"]
        if not self.jid:
            return ["scan"] * self.scannable + ["show"] * (len(self._texts) < _QRS)
        if not self._known:
            return ["log_out"]
        return [move for move in ("online", "sync") if move not in self._said]

    def _bad(self) -> list[str]:
        bad = ["reach", "lose", "die", "refuse"]
        if self.scannable:
            bad += ["renew", "scan_and_die"]
        if self.jid:
            bad += ["replace", "log_out_and_die"]
        if self._known and self.task != "log_out":
            bad += ["log_out", "log_out_early"]
        if len(self._texts) == _QRS and not self.jid:
            bad.append("exhaust")
        return bad

    def _say(self, event: Event, last: bool = False) -> None:
        self._dead = last
        self.process.inbox.append(event)

    @property
    def _known(self) -> bool:
        """Whether WhatsApp has a device with these keys. It may have given the JID to another device since."""
        return self.fingerprint is not None and self._system.linked.get(self.jid or "") == self.fingerprint

    def do_reach(self) -> None:
        self._say(Reached())

    def do_show(self) -> None:
        assert self.secret
        if self._shown_at is None:
            self._shown_at = self._system.now
        self._texts.append(self.secret.text(len(self._texts) + 1))
        self._show(Qr(self._texts[-1], 60 if len(self._texts) == 1 else 20))

    def do_renew(self) -> None:
        """WhatsApp does not accept a scan, so the QR with the same ref gets a new secret."""
        self.secret = Secret(f"{self._system.name} device {next(self._system.serial)}")
        self._scannable.clear()
        self._show(Qr(self.secret.text(len(self._texts)), 10, renewed=True))

    def do_scan(self) -> None:
        self._link()
        self._say(Scanned(self.jid or ""))

    def do_scan_and_die(self) -> None:
        self._link()
        self.do_die()

    def do_online(self) -> None:
        assert self.jid
        self._said.add("online")
        self._say(Online(self.jid))

    def do_sync(self) -> None:
        self._said.add("sync")
        self._say(Synced())

    def confirm(self) -> None:
        """The process confirms that these are the keys to log out."""
        if not self._dead:
            self._drop()
            self._say(LoggedOut(), last=True)

    def do_log_out(self) -> None:
        if self.task == "log_out" and self._known:
            self.do_online()  # the engine waits until the process confirms
            return
        self._drop()
        self._say(LoggedOut(), last=True)

    def do_log_out_and_die(self) -> None:
        self._drop()
        self.do_die()

    def do_log_out_early(self) -> None:
        """WhatsApp has removed the device, and the engine ends before whatsmeow has deleted its keys."""
        assert self.jid
        if self._known:
            del self._system.linked[self.jid]
        self._say(LoggedOut(), last=True)

    def do_lose(self) -> None:
        self._say(Unreachable(), last=True)

    def do_die(self) -> None:
        self._say(Died("as told"), last=True)

    def do_refuse(self) -> None:
        self._say(Refused(Reason.CLIENT_OUTDATED if self.jid else Reason.PAIRING_REJECTED), last=True)

    def do_replace(self) -> None:
        self._say(Replaced(), last=True)

    def do_exhaust(self) -> None:
        self._say(Exhausted(), last=True)

    def _show(self, qr: Qr) -> None:
        self._scannable.append(qr.text)
        self._system.promises.texts[qr.text] = self.process
        self._say(qr)

    def _link(self) -> None:
        assert self.secret
        self.jid = self._system.link(self.secret)
        self.fingerprint = self.secret.fingerprint

    def _drop(self) -> None:
        """WhatsApp removes the device, and whatsmeow deletes its keys."""
        assert self.jid
        if self._known:
            del self._system.linked[self.jid]
        self._system.drop_keys(self.jid)


class ModelledEngines:
    """The engine port of one process (`core/engine.py`)."""

    def __init__(self, system: ModelledSystem, process: Process) -> None:
        self._system, self._process = system, process

    def pair(self, until: float) -> EngineRun:
        return EngineRun(self._system, self._process, "pair", until)

    def resume(self, jid: str, until: float) -> EngineRun:
        return EngineRun(self._system, self._process, "resume", until, jid)

    def log_out(self, jid: str, until: float) -> EngineRun:
        return EngineRun(self._system, self._process, "log_out", until, jid)
