"""A linker's hold on its attempt: lease and heartbeat, renewed together, and how much of the window is left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

from whatsapp_pairing.engine import EngineRun
from whatsapp_pairing.errors import SecretUnavailable, StoreUnavailable, WorkflowUnavailable
from whatsapp_pairing.observability import logger
from whatsapp_pairing.repository.leases import Leases
from whatsapp_pairing.session import HANDOVER_SECONDS, LEASE_SECONDS, RENEW_SECONDS, Attempt, Phase, engine_ends_at
from whatsapp_pairing.workflow import Workflow

T = TypeVar("T")
P = ParamSpec("P")
Statement = Callable[Concatenate[UUID, UUID, P], Attempt | None]


class LeaseLost(Exception):
    """The attempt has ended, another linker has it, or Postgres was away too long: let go of WhatsApp."""


class Hold:
    """One linker's lease of an attempt: it renews the lease, and keeps the attempt as the database last answered it.

    Parameters
    ----------
    attempt : Attempt
        As ``Leases.take`` answered it.
    asked_at : float
        When the lease was asked for, by ``clock``. The linker counts the lease from then, so never too long.
    clock, sleep : callable
        Seconds, monotonic.

    Attributes
    ----------
    attempt : Attempt
        As the last answer of the database had it.
    lease : UUID
        The lease that every statement of this linker names.
    ends_at : float
        When the attempt's window is over, by ``clock``.
    renew_at : float
        When the lease is to be renewed, by ``clock``.
    engine_ends_at : float
        When an engine under this lease must have ended, by ``clock``.
    """

    def __init__(
        self,
        attempt: Attempt,
        asked_at: float,
        lease: UUID,
        leases: Leases,
        workflow: Workflow,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.lease = lease
        self._leases = leases
        self._workflow = workflow
        self._clock = clock
        self._sleep = sleep
        self._run: EngineRun | None = None
        self._reachable = attempt.reachable
        self.note(attempt)
        self._begin(asked_at)

    @contextmanager
    def running(self, run: EngineRun) -> Iterator[None]:
        """Let an engine live for as long as the lease. Without a renewal it ends by itself."""
        self._run = run
        try:
            yield
        finally:
            self._run = None

    def keep(self) -> None:
        """Renew lease and heartbeat when it is time; learn the workflow's present token on the way.

        Raises
        ------
        LeaseLost
        """
        if self._clock() >= self.renew_at:
            self.renew()

    def renew(self, ended: bytes | None = None) -> None:
        """Renew lease and heartbeat now; ``ended`` as ``Leases.renew`` has it.

        Raises
        ------
        LeaseLost
        """
        asked_at = self._clock()
        self.write(self._leases.renew, self._reachable, ended)
        self._begin(asked_at)

    def found_reachable(self, reachable: bool) -> None:
        """Note whether WhatsApp answers, and write a change at once.

        The workflow may settle the attempt before the linker does. It reads here whether WhatsApp was unreachable.

        Raises
        ------
        LeaseLost
        """
        if reachable != self._reachable:
            self._reachable = reachable
            self.renew()

    def rest(self, seconds: float) -> None:
        """Wait for this long, and keep the lease meanwhile. End earlier when the window is over.

        Raises
        ------
        LeaseLost
        """
        until = min(self._clock() + seconds, self.ends_at)
        while (left := until - self._clock()) > 0:
            self.keep()
            self._sleep(min(left, 0.5))

    def write(self, statement: Statement[P], *arguments: P.args, **named: P.kwargs) -> None:
        """Call a statement of ``Leases``, and note the attempt that it answers.

        Raises
        ------
        LeaseLost
        """
        self.note(self.ask(lambda: statement(self.attempt.id, self.lease, *arguments, **named)))

    def ask(self, work: Callable[[], T]) -> T:
        """Do ``work``; while Postgres is away, try again for as long as no other linker can have taken the lease.

        Raises
        ------
        LeaseLost
        """
        while True:
            try:
                return work()
            except (StoreUnavailable, SecretUnavailable):
                if self._clock() >= self._lease_ends_at:
                    raise LeaseLost from None
                logger.warning("the database or its secret is away; trying again", exc_info=True)
                self._sleep(0.5)

    def tell(self, say: Callable[[str | None], object]) -> None:
        """Tell the workflow. If AWS does not answer, go on: the workflow's next look at the database shows the same."""
        try:
            say(self.attempt.task_token)
        except WorkflowUnavailable:
            logger.warning("the workflow did not answer", exc_info=True)

    def note(self, attempt: Attempt | None) -> None:
        """Keep the attempt that a statement has answered, and count its window from now.

        Raises
        ------
        LeaseLost
            The statement has answered no row.
        """
        if attempt is None:
            raise LeaseLost
        self.attempt = attempt
        # The QR may come at the very end of its window. Give the workflow time to open the scan's window.
        handover = HANDOVER_SECONDS if attempt.phase is Phase.QR and attempt.qr_shown else 0
        self.ends_at = self._clock() + attempt.remaining + handover

    def _begin(self, asked_at: float) -> None:
        self._lease_ends_at = asked_at + LEASE_SECONDS
        self.renew_at = asked_at + RENEW_SECONDS
        self.engine_ends_at = engine_ends_at(asked_at)
        if self._run:
            self._run.live_until(self.engine_ends_at)
        self.tell(self._workflow.heartbeat)
