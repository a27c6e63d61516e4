"""Asks whether WhatsApp still gives this engine a QR, before a person meets a refusal."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from whatsapp_pairing.core.engine import DatabaseFailed, Died, Engine, Qr, Reached, Refused
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.runtime import metrics
from whatsapp_pairing.runtime.observability import logger

# Shorter than the function's Timeout. A QR takes a second, or a few seconds in a new instance.
LIMIT_SECONDS = 45.0
# The probe ends its engine. When the probe hangs, the engine ends by itself this long after the limit.
_SPARE_SECONDS = 2.0


@dataclass(frozen=True)
class Probe:
    """The answer of a probe: why no QR came (None: one came), and after how many seconds this was known."""

    failure: Reason | None
    seconds: float


def probe(engine: Engine, limit_seconds: float = LIMIT_SECONDS, clock: Callable[[], float] = time.monotonic) -> Probe:
    """Ask WhatsApp for a QR, and drop it. Nobody sees the QR, so no device is linked and nothing stays behind.

    The probe tries once. The schedule calls it again, and the next probe shows whether a failure has passed.

    Parameters
    ----------
    limit_seconds : float
        How long WhatsApp has to give a QR.
    clock : callable
        Seconds, monotonic.
    """
    started_at = clock()
    failure = _ask(engine, started_at + limit_seconds, clock)
    probed = Probe(failure, clock() - started_at)
    metrics.probed(probed.seconds, failure)
    return probed


def _ask(engine: Engine, until: float, clock: Callable[[], float]) -> Reason | None:
    with engine.pair(until + _SPARE_SECONDS) as run:
        while (left := until - clock()) > 0:
            match run.next_event(left):
                case Qr():
                    return None
                case Refused(reason):
                    return reason
                case DatabaseFailed():
                    return Reason.INTERNAL
                case Died(why):
                    logger.warning("engine died", extra={"why": why})
                    return Reason.INTERNAL
                case None | Reached():
                    continue
                case _:
                    return Reason.WHATSAPP_UNREACHABLE
    return Reason.QR_TIMEOUT
