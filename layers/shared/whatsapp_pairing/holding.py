"""A linker's hold on its attempt: lease and heartbeat, renewed together, and how much of the window is left."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

from whatsapp_pairing.errors import StoreUnavailable, WorkflowUnavailable
from whatsapp_pairing.observability import logger
from whatsapp_pairing.repository.leases import Leases
from whatsapp_pairing.session import HANDOVER_SECONDS, LEASE_SECONDS, RENEW_SECONDS, Attempt, Phase
from whatsapp_pairing.workflow import Workflow

T = TypeVar("T")
P = ParamSpec("P")
Statement = Callable[Concatenate[UUID, UUID, P], Attempt | None]


class LeaseLost(Exception):
    """The attempt has ended or another linker has it: let go of WhatsApp and write nothing more."""


class Hold:
    """What one linker knows of the attempt whose lease it has taken, and how it keeps it.

    Parameters
    ----------
    attempt : Attempt
        As the lease was taken.
    asked_at : float
        When the lease was asked for, by ``clock``: it lasts from then at the most.
    clock, sleep : callable
        Seconds, monotonic.

    Attributes
    ----------
    attempt : Attempt
        As the last answer of the database had it.
    lease : UUID
        What its statements name.
    ends_at : float
        When its window is over, by ``clock``.
    renew_at : float
        When the lease is to be renewed, by ``clock``.
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
        self._reachable = attempt.reachable
        self.note(attempt)
        self._begin(asked_at)

    def keep(self) -> None:
        """Renew lease and heartbeat when it is time; learn the workflow's present token on the way.

        Raises
        ------
        LeaseLost
        """
        if self._clock() >= self.renew_at:
            self.renew()

    def renew(self, showing: bool = True) -> None:
        """Renew lease and heartbeat now; ``showing`` as ``Leases.renew`` has it.

        Raises
        ------
        LeaseLost
        """
        asked_at = self._clock()
        self.write(self._leases.renew, self._reachable, showing)
        self._begin(asked_at)

    def found_reachable(self, reachable: bool) -> None:
        """Note whether WhatsApp answers.

        Written at once: whoever notices the end of the window first must know which kind of end it is.

        Raises
        ------
        LeaseLost
        """
        if reachable != self._reachable:
            self._reachable = reachable
            self.renew()

    def rest(self, seconds: float) -> None:
        """Keep the lease and do nothing else, until the window is over at the latest.

        Raises
        ------
        LeaseLost
        """
        until = min(self._clock() + seconds, self.ends_at)
        while (left := until - self._clock()) > 0:
            self.keep()
            self._sleep(min(left, 0.5))

    def write(self, statement: Statement[P], *arguments: P.args, **named: P.kwargs) -> None:
        """Change the attempt by a statement of ``Leases`` that answers with it as it is then.

        Raises
        ------
        LeaseLost
        """
        self.note(self.ask(lambda: statement(self.attempt.id, self.lease, *arguments, **named)))

    def ask(self, work: Callable[[], T]) -> T:
        """Do ``work``, over and over while Postgres is away and our lease cannot have passed to another.

        Raises
        ------
        LeaseLost
        """
        while True:
            try:
                return work()
            except StoreUnavailable:
                if self._clock() >= self._lease_ends_at:
                    raise LeaseLost from None
                logger.warning("the database is away; trying again", exc_info=True)
                self._sleep(0.5)

    def tell(self, say: Callable[[str | None], object]) -> None:
        """Tell the workflow; if it does not listen now, its next look at the database shows it the same."""
        try:
            say(self.attempt.task_token)
        except WorkflowUnavailable:
            logger.warning("the workflow did not answer", exc_info=True)

    def note(self, attempt: Attempt | None) -> None:
        """Learn the attempt as a statement has answered it.

        Raises
        ------
        LeaseLost
            It has answered nothing.
        """
        if attempt is None:
            raise LeaseLost
        self.attempt = attempt
        # A QR that came in the last moment waits for the workflow to open the scan's window.
        handover = HANDOVER_SECONDS if attempt.phase is Phase.QR and attempt.qr_shown else 0
        self.ends_at = self._clock() + attempt.remaining + handover

    def _begin(self, asked_at: float) -> None:
        self._lease_ends_at = asked_at + LEASE_SECONDS
        self.renew_at = asked_at + RENEW_SECONDS
        self.tell(self._workflow.heartbeat)
