"""What the API and the workflow do to an attempt."""

from dataclasses import dataclass, field
from uuid import UUID

from psycopg.errors import ForeignKeyViolation

from whatsapp_pairing.database import Connection, Row
from whatsapp_pairing.errors import Unauthorized
from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.repository.rows import ATTEMPT, LOCK, RELEASED_WITH_KEYS, SCANNED, SHOW, Table, attempt_from
from whatsapp_pairing.session import MOST_PER_HOUR, OVERDUE_SECONDS, PAUSES, Attempt, Phase, Status

_CLAIM = f"""
WITH previous AS (
  SELECT last.number, last.ended_at, last.failures, greatest(
    extract(epoch FROM last.started_at - clock_timestamp())::float8
      + (%(pauses)s::float8[])[least(last.failures + 1, cardinality(%(pauses)s::float8[]))],
    -- Another one may start when the first of these is an hour old; greatest() passes over it where there are fewer.
    (SELECT extract(epoch FROM first.started_at - clock_timestamp())::float8 + 3600
     FROM whatsapp_private.attempts first
     WHERE first.user_id = last.user_id AND first.number = last.number + 1 - %(most)s)
  ) AS wait
  FROM whatsapp_private.attempts last WHERE last.user_id = %(user)s ORDER BY last.number DESC LIMIT 1
), linked AS (
  SELECT FROM whatsapp_private.devices WHERE user_id = %(user)s AND state = 'linked'
), system AS (
  SELECT count(*) >= %(limit)s AS at_capacity
  FROM (
    -- One that is overdue has nothing running any more: cleanup will end it, nobody has to wait for that.
    SELECT FROM whatsapp_private.attempts
    WHERE ended_at IS NULL AND deadline > now() - make_interval(secs => %(overdue)s) LIMIT %(limit)s
  ) AS live
), a AS (
  INSERT INTO whatsapp_private.attempts AS a (id, user_id, number, deadline, failures)
  SELECT %(id)s, %(user)s, coalesce((SELECT number FROM previous), 0) + 1,
         now() + make_interval(secs => %(window)s),
         coalesce((SELECT failures FROM previous), 0)
  WHERE NOT EXISTS (SELECT FROM linked)
    AND NOT EXISTS (SELECT FROM previous WHERE ended_at IS NULL OR wait > 0)
    AND NOT (SELECT at_capacity FROM system)
  ON CONFLICT DO NOTHING
  RETURNING id, user_id
), shown AS ({SHOW})
SELECT EXISTS (SELECT FROM a) AS claimed, EXISTS (SELECT FROM linked) AS linked,
       EXISTS (SELECT FROM previous WHERE ended_at IS NULL) AS live,
       coalesce(greatest((SELECT wait FROM previous), 0), 0) AS wait, (SELECT at_capacity FROM system) AS at_capacity
"""

LAST_ATTEMPT = f"""
SELECT {ATTEMPT} FROM whatsapp_private.attempts a WHERE a.user_id = %(user)s ORDER BY a.number DESC LIMIT 1
"""

_GET = f"SELECT {ATTEMPT} FROM whatsapp_private.attempts a WHERE a.id = %(id)s"

_OPEN_PHASE = f"""
UPDATE whatsapp_private.attempts a SET
  task_token = %(token)s,
  phase = CASE WHEN a.phase = 'auth' THEN 'auth' ELSE %(phase)s END,
  deadline = CASE
    WHEN a.phase = 'auth' OR %(phase)s = 'qr' THEN a.deadline
    -- A quick phone has scanned already: what that bought stays.
    WHEN {SCANNED} THEN greatest(a.deadline, now() + make_interval(secs => %(window)s))
    ELSE now() + make_interval(secs => %(window)s) END
WHERE a.id = %(id)s AND a.ended_at IS NULL
RETURNING {ATTEMPT}
"""

_END = f"""
WITH a AS (
  UPDATE whatsapp_private.attempts a SET
    ended_at = now(), outcome = %(reason)s, failures = a.failures + %(failed)s,
    lease_id = NULL, lease_expires_at = NULL, qr_expires_at = NULL
  WHERE a.id = %(id)s AND a.ended_at IS NULL AND a.deadline = %(deadline)s
  RETURNING a.id, a.user_id
), shown AS ({SHOW}), released AS (
  UPDATE whatsapp_private.devices d SET state = 'unlinking', updated_at = now() FROM a WHERE d.attempt_id = a.id
  RETURNING d.id, d.jid, d.fingerprint
)
SELECT {RELEASED_WITH_KEYS} AS devices
FROM a
"""

_LOCK_LIVE = "SELECT FROM whatsapp_private.attempts a WHERE a.user_id = %(user)s AND a.ended_at IS NULL FOR UPDATE"

_DISCONNECT = f"""
WITH a AS (
  UPDATE whatsapp_private.attempts a SET
    ended_at = now(), outcome = %(reason)s, lease_id = NULL, lease_expires_at = NULL, qr_expires_at = NULL
  WHERE a.user_id = %(user)s AND a.ended_at IS NULL
  RETURNING a.user_id, a.task_token, a.legs
), released AS (
  UPDATE whatsapp_private.devices d SET state = 'unlinking', updated_at = now()
  WHERE d.user_id = %(user)s AND d.state <> 'unlinking'
  RETURNING d.id, d.jid, d.fingerprint
), shown AS (
  UPDATE public.whatsapp_sessions SET
    session_status = '{Status.DISCONNECTED}', qr_code = NULL, phone_number = NULL, connected_at = NULL
  -- Also one that says so already: its owner may have written that, and left the QR.
  WHERE user_id = %(user)s
)
SELECT (SELECT task_token FROM a) AS task_token, (SELECT legs FROM a) AS legs,
       EXISTS (SELECT FROM a) OR EXISTS (SELECT FROM released) OR EXISTS (
         SELECT FROM public.whatsapp_sessions -- as it was before this statement
         WHERE user_id = %(user)s AND session_status <> '{Status.DISCONNECTED}'
       ) AS changed,
       {RELEASED_WITH_KEYS} AS devices
"""

# The user may have edited or deleted the row: the binding knows better. Locked, for a disconnect may be giving it up.
_SHOW_LINKED = f"""
WITH linked AS (
  SELECT d.user_id, d.jid, d.updated_at
  FROM whatsapp_private.devices d WHERE d.user_id = %(user)s AND d.state = 'linked' FOR UPDATE
)
INSERT INTO public.whatsapp_sessions AS s (user_id, session_status, phone_number, connected_at, last_seen)
SELECT user_id, '{Status.CONNECTED}', substring(jid FROM '^[0-9]+'), updated_at, updated_at FROM linked
ON CONFLICT (user_id) DO UPDATE SET
  session_status = excluded.session_status, phone_number = excluded.phone_number,
  connected_at = excluded.connected_at, qr_code = NULL
WHERE s.session_status <> excluded.session_status
"""


@dataclass(frozen=True)
class Claim:
    """Answer to a click on "Connect": ``claimed``, or why not (live, linked, ``wait`` seconds, at capacity)."""

    claimed: bool
    live: bool
    linked: bool
    wait: float
    at_capacity: bool


@dataclass(frozen=True)
class Disconnection:
    """What a disconnect has ended.

    Attributes
    ----------
    changed : bool
        Whether there was anything to end.
    task_token : str or None
        The wait to fail.
    legs : int or None
        How many linkers the attempt had; None when none was running.
    devices : list of UUID
        What to unlink.
    """

    changed: bool
    task_token: str | None = field(repr=False)
    legs: int | None
    devices: list[UUID]


class Attempts(Table):
    """Attempts as the API and the workflow change them. Every method may raise ``StoreUnavailable``."""

    def claim(self, user_id: UUID, attempt_id: UUID, window_seconds: float, live_limit: int) -> Claim:
        """Start a new attempt unless one lives, a device is linked, the pause is not over, or the system is full.

        Parameters
        ----------
        live_limit : int
            How many attempts of all users may live at once. Clicks in the same moment may exceed it by their number.

        Raises
        ------
        Unauthorized
            The user was deleted; their token is good for up to an hour longer.
        """
        while True:
            row = self._claim(
                user=user_id,
                id=attempt_id,
                window=window_seconds,
                limit=live_limit,
                pauses=list(PAUSES),
                most=MOST_PER_HOUR,
                overdue=OVERDUE_SECONDS,
                status=Status.CONNECTING,
                qr=None,
            )
            assert row is not None
            claim = Claim(**row)
            if claim.claimed or claim.live or claim.linked or claim.wait > 0 or claim.at_capacity:
                return claim
            # Another claim came between our reading and our insert: read again, it is live now.

    def _claim(self, **parameters: object) -> Row | None:
        def claim(connection: Connection) -> Row | None:
            try:
                return connection.execute(_CLAIM, parameters).fetchone()
            except ForeignKeyViolation:
                raise Unauthorized from None

        return self._database.run_one(claim)

    def show_linked(self, user_id: UUID) -> None:
        """Make the row of a user who has a linked device say so."""
        self._do(_SHOW_LINKED, user=user_id)

    def last(self, user_id: UUID) -> Attempt | None:
        """Return the user's newest attempt, live or ended."""
        return attempt_from(self._one(LAST_ATTEMPT, user=user_id))

    def get(self, attempt_id: UUID) -> Attempt | None:
        """Return one attempt, or None when it (or its user) does not exist any more."""
        return attempt_from(self._one(_GET, id=attempt_id))

    def open_phase(self, attempt_id: UUID, phase: Phase, token: str, auth_seconds: float) -> Attempt | None:
        """Keep the token of a wait that was just entered; entering ``auth`` for the first time starts its window.

        Returns
        -------
        Attempt or None
            None when the attempt has ended.
        """
        row = self._one_locked(LOCK, _OPEN_PHASE, id=attempt_id, phase=phase, token=token, window=auth_seconds)
        return attempt_from(row)

    def end(self, attempt: Attempt, reason: Reason) -> list[UUID] | None:
        """Record the outcome, clear the QR and give up the attempt's devices.

        Returns
        -------
        list of UUID, or None
            Devices that have keys and must be unlinked; None when the attempt changed since it was read.
        """
        row = self._one_locked(
            LOCK,
            _END,
            id=attempt.id,
            deadline=attempt.deadline,
            reason=reason,
            failed=0 if reason.by_choice else 1,
            status=Status.DISCONNECTED if reason.by_choice else Status.ERROR,
            qr=None,
        )
        return row["devices"] if row else None

    def disconnect(self, user_id: UUID) -> Disconnection:
        """End whatever the user has: a live attempt, a linked device, or both."""
        row = self._one_locked(_LOCK_LIVE, _DISCONNECT, user=user_id, reason=Reason.CANCELLED)
        assert row is not None
        return Disconnection(**row)
