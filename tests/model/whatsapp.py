"""Engines, phones, and WhatsApp between them: who has linked what, and what an engine may be told next."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from whatsapp_pairing.engine import (
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
from whatsapp_pairing.reasons import Reason

from tests.integration.world import Secret

from .process import Process

if TYPE_CHECKING:
    from .system import System

# Six QRs of one device: 60 seconds, then five times 20. Nobody can scan it later.
QR_LIFE_SECONDS = 160.0
_QRS = 6


class Run:
    """One engine at work in a process.

    Attributes
    ----------
    secret : Secret or None
        Of the fresh device that it offers.
    jid : str or None
        Of the device that it has.
    """

    def __init__(self, system: System, process: Process, task: str, jid: str | None = None) -> None:
        self._system, self.process = system, process
        self.task, self.jid = task, jid
        self.secret = Secret(f"{system.name} device {next(system.serial)}") if task == "pair" else None
        self._texts: list[str] = []
        self._shown_at: float | None = None
        self._said: set[str] = set()
        self._dead = False

    def __repr__(self) -> str:
        return f"<{self.task} in {self.process}>"

    def __enter__(self) -> Run:
        if self.jid:
            self._system.promises.opens(self.process, self.jid)
        self._system.runs.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._dead = True
        self._system.runs.remove(self)
        self.process.inbox.clear()

    def next_event(self, timeout: float) -> Event | None:
        """Wait for what the test says."""
        inbox = self.process.inbox
        if not inbox:
            self.process.doing = ""
            self.process.stop(self._system.now + timeout)
        return inbox.pop(0) if inbox else None

    # ── what may happen ──

    @property
    def moves(self) -> list[str]:
        """What may happen to it now; the first is what happens when all is well."""
        return [] if self._dead else [*self._good(), *self._bad()]

    @property
    def scannable(self) -> bool:
        """Whether somebody has seen it and a phone can still scan it."""
        if self._shown_at is None or self.jid or self._dead or self._system.now >= self._shown_at + QR_LIFE_SECONDS:
            return False
        return not self._system.promises.seen.isdisjoint(self._texts)

    def make(self, move: str) -> None:
        """Let it happen."""
        assert move in self.moves
        getattr(self, f"do_{move}")()

    def _good(self) -> list[str]:
        if self.task == "log_out":
            return [] if "online" in self._said else ["log_out"]
        if not self.jid:
            return ["scan"] * self.scannable + ["show"] * (len(self._texts) < _QRS)
        if self.jid not in self._system.linked:
            return ["log_out"]
        return [move for move in ("online", "sync") if move not in self._said]

    def _bad(self) -> list[str]:
        bad = ["reach", "lose", "die", "refuse"]
        if self.scannable:
            bad.append("scan_and_die")
        if self.jid:
            bad += ["replace", "log_out_and_die"]
        if self.jid in self._system.linked and self.task != "log_out":
            bad.append("log_out")
        if len(self._texts) == _QRS and not self.jid:
            bad.append("exhaust")
        return bad

    def _say(self, event: Event, last: bool = False) -> None:
        self._dead = last
        self.process.inbox.append(event)

    def do_reach(self) -> None:
        self._say(Reached())

    def do_show(self) -> None:
        assert self.secret
        if self._shown_at is None:
            self._shown_at = self._system.now
        self._texts.append(self.secret.text(len(self._texts) + 1))
        self._system.promises.texts[self._texts[-1]] = self.process
        self._say(Qr(self._texts[-1], 60 if len(self._texts) == 1 else 20))

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
        """The process says that these are the keys which it wants to log out."""
        if not self._dead:
            self._drop()
            self._say(LoggedOut(), last=True)

    def do_log_out(self) -> None:
        if self.task == "log_out" and self.jid in self._system.linked:
            self.do_online()  # it waits until the process confirms
            return
        self._drop()
        self._say(LoggedOut(), last=True)

    def do_log_out_and_die(self) -> None:
        self._drop()
        self.do_die()

    def do_lose(self) -> None:
        self._say(Unreachable(), last=True)

    def do_die(self) -> None:
        self._say(Died("as told"), last=True)

    def do_refuse(self) -> None:
        self._say(Refused(Reason.PAIRING_REJECTED if self.task == "pair" else Reason.CLIENT_OUTDATED), last=True)

    def do_replace(self) -> None:
        self._say(Replaced(), last=True)

    def do_exhaust(self) -> None:
        self._say(Exhausted(), last=True)

    def _link(self) -> None:
        assert self.secret
        self.jid = self._system.link(self.secret)

    def _drop(self) -> None:
        """WhatsApp does not know the device any more: whatsmeow drops its keys."""
        assert self.jid
        self._system.linked.pop(self.jid, None)
        self._system.world.drop_keys(self.jid)


class Engines:
    """The port that a process starts its engines with."""

    def __init__(self, system: System, process: Process) -> None:
        self._system, self._process = system, process

    def pair(self) -> Run:
        return Run(self._system, self._process, "pair")

    def resume(self, jid: str) -> Run:
        return Run(self._system, self._process, "resume", jid)

    def log_out(self, jid: str) -> Run:
        return Run(self._system, self._process, "log_out", jid)
