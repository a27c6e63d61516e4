"""The port to WhatsApp: what the domain may ask of an engine, and the events that come back.

An engine runs in a child process (layers/engine starts it). No call of this port blocks for longer than its timeout.
"""

import base64
import hashlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from whatsapp_pairing.core.reasons import Reason


@dataclass(frozen=True)
class Reached:
    """WhatsApp has answered. It sends the first QR next, or lets a stored device log in."""


@dataclass(frozen=True)
class Qr:
    """A QR to show for ``seconds``. Its ``text`` is a credential until the QR expires.

    WhatsApp sends a ``renewed`` QR instead of accepting a scan, so the person must scan again. It has the ref (first
    field) of the QR before it, and a new adv secret (fourth field).
    """

    text: str = field(repr=False)
    seconds: float
    renewed: bool = False

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the adv secret, 32 bytes.

        A device's QRs all have the same fingerprint until a QR is renewed. Postgres computes it from the stored keys
        too, and so finds the keys of a binding.

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
    """All QRs of this engine were shown and none was scanned. A new engine brings new QRs."""


@dataclass(frozen=True)
class Scanned:
    """A phone has linked the device. From now on WhatsApp knows the device, so it must log in or be removed."""

    jid: str = field(repr=False)


@dataclass(frozen=True)
class Online:
    """The device has logged in."""

    jid: str = field(repr=False)


@dataclass(frozen=True)
class Synced:
    """The phone has finished its first sync.

    If the socket closed earlier, the phone would go on showing "logging in".
    """


@dataclass(frozen=True)
class LoggedOut:
    """WhatsApp no longer knows the device, or has confirmed its removal. The engine has deleted the device's keys."""


@dataclass(frozen=True)
class Replaced:
    """WhatsApp has closed this socket, because another socket has logged in with the same keys."""


@dataclass(frozen=True)
class Refused:
    """WhatsApp or the engine has refused the scan or the login.

    After ``PAIRING_REJECTED``, WhatsApp may accept a new QR. After any other reason, another try does not help.
    """

    reason: Reason


@dataclass(frozen=True)
class Unreachable:
    """WhatsApp could not be reached, or has closed the connection. Another try may help.

    ``why`` says what is wrong with the proxy, for the log. ``login_refused``: the proxy refuses user or password.
    """

    why: str | None = None
    login_refused: bool = False


@dataclass(frozen=True)
class DatabaseFailed:
    """The engine's database fails or refuses the engine. The event says nothing about WhatsApp.

    ``why`` is for the log: the SQLSTATE or the class of the fault, never a value. ``passes`` tells whether the fault
    may be over for the next engine. ``login_refused`` tells whether user or password are wrong.
    """

    why: str
    passes: bool = False
    login_refused: bool = False


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
    """One engine at work, for one device. Leaving the context ends the engine with all its threads and sockets."""

    def next_event(self, timeout: float) -> Event | None:
        """Return the next event, or None after ``timeout`` seconds. No event follows ``Died``."""

    def live_until(self, moment: float) -> None:
        """Let the engine live until ``moment``, by ``time.monotonic``.

        The engine then ends by itself, even if our process hangs.
        """

    def confirm(self) -> None:
        """Let an engine that ``log_out`` has started remove its device, after its event Online."""

    def __enter__(self) -> "EngineRun": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Engine(Protocol):
    """Starts engines. The caller must hold the lease of the device.

    An engine ends by itself at ``until`` (seconds, by ``time.monotonic``). ``EngineRun.live_until`` sets a later
    moment.
    """

    def pair(self, until: float) -> EngineRun:
        """Offer a new device. A good run has the events Reached, Qr (often several), Scanned, Online, Synced."""

    def resume(self, jid: str, until: float) -> EngineRun:
        """Log a stored device in: Reached, Online, Synced.

        If the phone has removed the device, LoggedOut comes instead.
        """

    def log_out(self, jid: str, until: float) -> EngineRun:
        """Log a stored device in, and remove it from the phone after ``confirm``: Reached, Online, LoggedOut."""
