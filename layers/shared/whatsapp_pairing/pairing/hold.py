"""A linker's hold on its attempt: lease and heartbeat, renewed together, and how much of the window is left."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec
from uuid import UUID

from whatsapp_pairing.core.errors import WorkflowUnavailable
from whatsapp_pairing.pairing.attempt import HANDOVER_SECONDS, Attempt, Phase
from whatsapp_pairing.pairing.leases import Leases
from whatsapp_pairing.pairing.session_rows import SessionRows
from whatsapp_pairing.runtime.lease import Lease, LeaseLost
from whatsapp_pairing.runtime.observability import logger
from whatsapp_pairing.runtime.workflow import Workflow

P = ParamSpec("P")
Statement = Callable[Concatenate[UUID, UUID, P], Attempt | None]


class Hold:
    """One linker's hold: it renews the lease, keeps the attempt as the database last answered it, and shows changes.

    Parameters
    ----------
    attempt : Attempt
        As ``Leases.take`` answered it.
    lease : Lease
        The lease that this linker has taken.
    clock, sleep : callable
        Seconds, monotonic.

    Attributes
    ----------
    attempt : Attempt
        The attempt as the database last answered it.
    lease : Lease
        The lease that every statement of this linker names.
    ends_at : float
        When the attempt's window is over, by ``clock``.
    """

    def __init__(
        self,
        attempt: Attempt,
        lease: Lease,
        leases: Leases,
        session_rows: SessionRows,
        workflow: Workflow,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.lease = lease
        self._leases = leases
        self._session_rows = session_rows
        self._workflow = workflow
        self._clock = clock
        self._sleep = sleep
        self._reachable = attempt.reachable
        # The session row may show an earlier linker's QR. With None, the first call of `show` writes the row.
        self._shown = None if attempt.linkers > 1 else attempt.version
        self.note(attempt)
        self.tell(self._workflow.heartbeat)

    def keep(self) -> None:
        """Renew lease and heartbeat when it is time. The renewal also brings the present token of the workflow.

        Raises
        ------
        LeaseLost
        """
        if self.lease.due:
            self.renew()

    def renew(self, ended: bytes | None = None) -> None:
        """Renew lease and heartbeat now. ``ended`` means the same as in ``Leases.renew``.

        Raises
        ------
        LeaseLost
        """
        attempt_id, lease_id = self.attempt.id, self.lease.id
        self.note(self.lease.renew(lambda: self._leases.renew(attempt_id, lease_id, self._reachable, ended)))
        self.tell(self._workflow.heartbeat)

    def found_reachable(self, reachable: bool) -> None:
        """Note whether WhatsApp answers, and write a change to the database at once.

        The workflow may end the attempt before the linker does. It reads from the database whether WhatsApp answered.

        Raises
        ------
        LeaseLost
        """
        if reachable != self._reachable:
            self._reachable = reachable
            self.renew()

    def rest(self, seconds: float) -> None:
        """Wait for this long, and renew the lease meanwhile. Return earlier when the window is over.

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
        self.note(self.lease.ask(lambda: statement(self.attempt.id, self.lease.id, *arguments, **named)))

    def show(self) -> None:
        """Write the session row if the session has changed since it was last written."""
        version = self.attempt.version
        if version != self._shown:
            self._session_rows.write(self.attempt.user_id, version)
            self._shown = version

    def tell(self, say: Callable[[str | None], object]) -> None:
        """Report to the workflow. If AWS does not answer, go on: the workflow reads the same from the database later.

        Parameters
        ----------
        say : callable
            A method of ``Workflow`` that takes a task token.
        """
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
