"""Whether WhatsApp still gives this engine a QR, asked before a person has to ask."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from whatsapp_pairing.core.engine import Died, Engine, Qr, Reached, Refused, StoreFailed
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.runtime import metrics
from whatsapp_pairing.runtime.observability import logger

# Below the function's own limit. A QR takes a second, and a few more in a new instance.
LIMIT_SECONDS = 45.0
# The probe ends its engine. When the probe hangs, the engine ends by itself this long after the limit.
_SPARE_SECONDS = 2.0


@dataclass(frozen=True)
class Probe:
    """Answer of a probe: why there was no QR (None: there was), and after how many seconds it was known."""

    failure: Reason | None
    seconds: float


def probe(engine: Engine, limit_seconds: float = LIMIT_SECONDS, clock: Callable[[], float] = time.monotonic) -> Probe:
    """Ask WhatsApp for a QR and let it go; nobody sees it, so nothing is linked and nothing is left.

    The probe tries once. The next scheduled call tells whether a failure has passed.
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
                case StoreFailed():
                    return Reason.INTERNAL
                case Died(why):
                    logger.warning("engine died", extra={"why": why})
                    return Reason.INTERNAL
                case None | Reached():
                    continue
                case _:
                    return Reason.WHATSAPP_UNREACHABLE
    return Reason.QR_TIMEOUT
