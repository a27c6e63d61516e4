"""The port to WhatsApp: what the domain may ask of an engine, and the events that come back.

An engine runs beside us (layers/engine puts it into a child process); nothing here blocks for longer than it is told.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from whatsapp_pairing.core.reasons import Reason


@dataclass(frozen=True)
class Reached:
    """WhatsApp has answered; the first QR (or the login) is its to give."""


@dataclass(frozen=True)
class Qr:
    """A QR to show for ``seconds``; ``text`` is a credential until it expires.

    A ``renewed`` QR has the ref of the QR before it and a new adv secret: WhatsApp asks the person to scan again.
    """

    text: str = field(repr=False)
    seconds: float
    renewed: bool = False

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the adv secret: the same for a device's QRs until one is renewed, and computable from its keys.

        Raises
        ------
        ValueError
            The text is not a WhatsApp linking QR.
        """
        parts = self.text.partition("#")[2].split(",")
        try:
            secret = base64.b64decode(parts[3], validate=True)
        except (IndexError, ValueError):
            secret = b""
        if not secret:
            raise ValueError("not a WhatsApp linking QR")
        return hashlib.sha256(secret).digest()


@dataclass(frozen=True)
class Exhausted:
    """All QRs of this engine were shown and none was scanned; a new engine gives new ones."""


@dataclass(frozen=True)
class Scanned:
    """A phone has linked the device. From now on it exists at WhatsApp and must be finished or removed."""

    jid: str = field(repr=False)


@dataclass(frozen=True)
class Online:
    """The device has logged in."""

    jid: str = field(repr=False)


@dataclass(frozen=True)
class Synced:
    """The phone has finished its first sync; the socket may close without leaving the phone in "logging in"."""


@dataclass(frozen=True)
class LoggedOut:
    """WhatsApp does not know the device any more, or has confirmed its removal; the engine has dropped its keys."""


@dataclass(frozen=True)
class Replaced:
    """Another socket with the same keys threw this one out."""


@dataclass(frozen=True)
class Refused:
    """WhatsApp or the engine said no. Trying again helps only after ``PAIRING_REJECTED``: a new QR may be accepted."""

    reason: Reason


@dataclass(frozen=True)
class Unreachable:
    """WhatsApp could not be reached, or broke off; trying again may help."""


@dataclass(frozen=True)
class DatabaseFailed:
    """The engine's database fails or refuses the engine. It says nothing about WhatsApp.

    ``why`` is for the log: the SQLSTATE or the class of the fault, never a value. ``passes`` tells whether a fresh
    engine may fare better.
    """

    why: str
    passes: bool = False


@dataclass(frozen=True)
class Died:
    """The engine crashed or hangs; ``why`` is for the log."""

    why: str


Event = (
    Reached
    | Qr
    | Exhausted
    | Scanned
    | Online
    | Synced
    | LoggedOut
    | Replaced
    | Refused
    | Unreachable
    | DatabaseFailed
    | Died
)


class EngineRun(Protocol):
    """One engine at work, for one device. Leaving its context ends it, with every thread and socket it has."""

    def next_event(self, timeout: float) -> Event | None:
        """Return the next event, or None after ``timeout`` seconds. After ``Died`` there are no more."""

    def live_until(self, moment: float) -> None:
        """Let the engine live until ``moment``, by ``time.monotonic``. Then it ends by itself, even when we hang."""

    def confirm(self) -> None:
        """Let an engine that was started to log out do so, now that it is Online."""

    def __enter__(self) -> "EngineRun": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Engine(Protocol):
    """Starts engines. The caller holds the lease of the device it names.

    An engine ends by itself at ``until``. ``EngineRun.live_until`` sets a later moment.
    """

    def pair(self, until: float) -> EngineRun:
        """Offer a fresh device: Reached, Qr…, Scanned, Online, Synced."""

    def resume(self, jid: str, until: float) -> EngineRun:
        """Log a stored device in: Reached, Online, Synced; or LoggedOut when the phone has removed it."""

    def log_out(self, jid: str, until: float) -> EngineRun:
        """Log a stored device in, and remove it from the phone after ``confirm``: Reached, Online, LoggedOut."""
