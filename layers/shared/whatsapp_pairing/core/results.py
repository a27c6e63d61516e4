"""The results of an engine, a linker and an attempt: one set for all of them."""

from enum import StrEnum
from typing import Literal

from whatsapp_pairing.core.reasons import Reason


class Result(StrEnum):
    """Every result except a bad end. A bad end is a ``Reason``."""

    CONNECTED = "connected"
    NEW_ENGINE = "new_engine"
    """This engine can do no more. The linker starts another engine."""
    REFUSED = "refused"
    """The scan or the login was refused. Only a new QR can help."""
    LOST = "lost"
    """The attempt has ended, or another linker may hold its lease."""
    NOT_NEEDED = "not_needed"
    """The attempt has a linker or is over, so no engine was started."""


Outcome = Literal[Result.CONNECTED] | Reason
"""How an attempt has ended. The database stores its text."""


def outcome_of(code: str | None) -> Outcome | None:
    """Return the outcome with this code; None while the attempt lives."""
    return Result.CONNECTED if code == Result.CONNECTED else Reason.parse(code)
