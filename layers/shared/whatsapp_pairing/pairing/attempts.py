"""The calls of the API and of the workflow about an attempt."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from psycopg.errors import ForeignKeyViolation

from whatsapp_pairing.core.errors import Unauthorized
from whatsapp_pairing.core.notices import Notice
from whatsapp_pairing.core.reasons import Reason
from whatsapp_pairing.core.results import outcome_of
from whatsapp_pairing.pairing.attempt import MOST_PER_HOUR, PAUSES, Attempt, Phase, Wait
from whatsapp_pairing.runtime.database import Connection, Row
from whatsapp_pairing.runtime.repository import Repository

_CLAIM = """
SELECT * FROM whatsapp_private.claim_v1(
  %(user)s, %(id)s, %(window)s, %(max_live)s, %(pauses)s::float8[], %(most)s
)
"""
_GET = "SELECT * FROM whatsapp_private.attempt_v1(%(id)s)"
_OPEN_PHASE = "SELECT * FROM whatsapp_private.open_phase_v1(%(id)s, %(phase)s, %(token)s, %(entered)s, %(window)s)"
_END = """
SELECT whatsapp_private.end_v1(
  %(call)s, %(id)s, %(deadline)s, %(verdict)s, %(scanned)s, %(reason)s, %(failed)s
) AS answer
"""
_DISCONNECT = "SELECT whatsapp_private.disconnect_v1(%(call)s, %(user)s, %(reason)s) AS answer"


@dataclass(frozen=True)
class Claim:
    """The answer to a click on "Connect".

    Attributes
    ----------
    claimed : bool
        Whether this call has started the attempt. If not, ``linked``, ``live``, ``wait`` or ``at_capacity`` says why.
    linked : bool
        Whether a device is linked.
    live : UUID or None
        The attempt that lives.
    live_over : bool or None
        Whether that attempt is left over. The caller then ends it and claims again.
    live_has_workflow : bool or None
        Whether that attempt has a task token, which means that its workflow has entered a wait.
    wait : float
        Seconds until the user may start an attempt: the pause, or longer because of ``MOST_PER_HOUR``.
    at_capacity : bool
        Whether as many attempts of all users live as the system is meant for.
    version : int
        The session's version after the call.
    """

    claimed: bool
    linked: bool
    live: UUID | None
    live_over: bool | None
    live_has_workflow: bool | None
    wait: float
    at_capacity: bool
    version: int


@dataclass(frozen=True)
class Ended:
    """An attempt that has ended badly: the devices to unlink, and the session's version."""

    devices: list[UUID]
    version: int


@dataclass(frozen=True)
class Disconnection:
    """What a disconnect has ended.

    Attributes
    ----------
    changed : bool
        Whether there was anything to end.
    task_token : str or None
        The token of the wait to fail; None when the workflow has not entered a wait.
    linkers : int or None
        How many linkers the live attempt had; None when no attempt lived.
    devices : list of UUID
        The devices to unlink.
    version : int
        The session's version after the call.
    """

    changed: bool
    task_token: str | None = field(repr=False)
    linkers: int | None
    devices: list[UUID]
    version: int


class Attempts(Repository):
    """Attempts as the API and the workflow change them. Every method may raise ``DatabaseUnavailable``."""

    def claim(self, user_id: UUID, attempt_id: UUID, window_seconds: float, max_live: int) -> Claim:
        """Start a new attempt unless one lives, a device is linked, the user must wait, or the system is full.

        Parameters
        ----------
        max_live : int
            How many attempts of all users may live at once. Clicks in the same moment may each start one more.

        Raises
        ------
        Unauthorized
            The user was deleted. Their access token is still good for up to an hour.
        """
        parameters = {
            "user": user_id,
            "id": attempt_id,
            "window": window_seconds,
            "max_live": max_live,
            "pauses": list(PAUSES),
            "most": MOST_PER_HOUR,
        }

        def claim(connection: Connection) -> Row | None:
            try:
                return connection.execute(_CLAIM, parameters).fetchone()
            except ForeignKeyViolation as error:
                if error.diag.schema_name == "whatsapp_private":
                    raise Unauthorized from None
                raise

        row = self._database.run(claim)
        assert row is not None
        return Claim(**row)

    def get(self, attempt_id: UUID) -> Attempt | None:
        """Return one attempt, or None when it (or its user) does not exist any more."""
        return attempt_from(self._one(_GET, id=attempt_id))

    def open_phase(self, attempt_id: UUID, wait: Wait, auth_seconds: float) -> Attempt | None:
        """Store the token of a wait that the workflow has entered. The first wait of ``auth`` starts the scan's window.

        If the workflow has entered a later wait meanwhile, the attempt keeps that wait's token.

        Parameters
        ----------
        auth_seconds : float
            The window for the scan.

        Returns
        -------
        Attempt or None
            The attempt, which may have ended; None when it does not exist any more.
        """
        row = self._one(
            _OPEN_PHASE,
            id=attempt_id,
            phase=wait.phase,
            token=wait.token,
            entered=wait.entered_at,
            window=auth_seconds,
        )
        return attempt_from(row)

    def end(self, attempt: Attempt, reason: Reason) -> Ended | None:
        """Record the outcome and give the devices up; None when the attempt has changed since it was read."""
        row = self._one(
            _END,
            call=uuid4(),
            id=attempt.id,
            deadline=attempt.deadline,
            verdict=attempt.verdict,
            scanned=attempt.scanned,
            reason=reason,
            failed=not reason.by_choice,
        )
        assert row is not None
        return Ended(**_with_ids(row["answer"])) if row["answer"] else None

    def disconnect(self, user_id: UUID) -> Disconnection:
        """End what the user has: a live attempt, a linked device, or an error that the session shows."""
        row = self._one(_DISCONNECT, call=uuid4(), user=user_id, reason=Reason.CANCELLED)
        assert row is not None
        answer = _with_ids(row["answer"])
        return Disconnection(linkers=answer.pop("legs"), **answer)


def attempt_from(row: Row | None) -> Attempt | None:
    """Return the attempt that a database function has answered (type ``attempt_state``)."""
    if row is None:
        return None
    columns = dict(row)
    parsed = {
        "linkers": columns.pop("legs"),
        "phase": Phase(row["phase"]),
        "verdict": Reason.parse(row["verdict"]),
        "outcome": outcome_of(row["outcome"]),
        "notice": Notice.parse(row["notice"]),
    }
    return Attempt(**columns | parsed)


def _with_ids(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"devices": [UUID(device) for device in answer["devices"]]}
