"""What the one live linker does to its attempt: every statement names the lease."""

from dataclasses import dataclass, field, replace
from uuid import UUID

from whatsapp_pairing.reasons import Reason
from whatsapp_pairing.repository.rows import ATTEMPT, LOCK, SHOW, Table, attempt_from
from whatsapp_pairing.session import CONNECTED, LEASE_SECONDS, LOGIN_SECONDS, Attempt, Status

# The QR of a linker before this one went with its socket: with a live lease again, it must not come back into sight.
_TAKE = f"""
WITH a AS (
  UPDATE whatsapp_private.attempts a SET
    lease_id = %(lease)s, lease_expires_at = now() + make_interval(secs => %(ttl)s), qr_expires_at = NULL,
    -- Once for each linker, though its answer may have been lost and it asks again.
    legs = a.legs + (a.lease_id IS DISTINCT FROM %(lease)s)::integer
  WHERE a.id = %(id)s AND a.ended_at IS NULL AND a.verdict IS NULL
    AND (a.lease_id IS NULL OR a.lease_id = %(lease)s OR a.lease_expires_at <= now())
  RETURNING {ATTEMPT}
), devices AS (
  UPDATE whatsapp_private.devices d SET
    lease_id = %(lease)s, lease_expires_at = now() + make_interval(secs => %(ttl)s)
  FROM a WHERE d.attempt_id = a.id AND d.state IN ('offered', 'linking')
)
SELECT * FROM a
"""

# whatsmeow stores the keys in the moment of the scan; our binding may not have been told when a linker died in it.
_RESUMABLE = """
SELECT keys.jid, d.fingerprint
FROM whatsapp_private.devices d, whatsapp_private.stored_jid(d.fingerprint) AS keys (jid)
WHERE d.attempt_id = %(id)s AND d.state IN ('offered', 'linking') AND keys.jid IS NOT NULL
ORDER BY d.created_at DESC LIMIT 1
"""

# A QR is good for as long as the socket that brought it.
_RENEW = f"""
WITH a AS (
  UPDATE whatsapp_private.attempts a SET
    lease_expires_at = now() + make_interval(secs => %(ttl)s), reachable = %(reachable)s,
    qr_expires_at = CASE WHEN %(showing)s THEN a.qr_expires_at END
  WHERE a.id = %(id)s AND a.lease_id = %(lease)s AND a.ended_at IS NULL
  RETURNING {ATTEMPT}
), devices AS (
  UPDATE whatsapp_private.devices d SET lease_expires_at = now() + make_interval(secs => %(ttl)s)
  FROM a WHERE d.attempt_id = a.id AND d.lease_id = %(lease)s
)
SELECT * FROM a
"""

_SHOW_QR = f"""
WITH a AS (
  UPDATE whatsapp_private.attempts a SET
    qr_shown_at = coalesce(a.qr_shown_at, now()), qr_expires_at = now() + make_interval(secs => %(seconds)s)
  WHERE a.id = %(id)s AND a.lease_id = %(lease)s AND a.ended_at IS NULL
  RETURNING {ATTEMPT}
), offered AS (
  INSERT INTO whatsapp_private.devices (user_id, attempt_id, fingerprint, lease_id, lease_expires_at)
  SELECT user_id, id, %(fingerprint)s, %(lease)s, now() + make_interval(secs => %(ttl)s) FROM a
  ON CONFLICT (fingerprint) DO NOTHING
), shown AS ({SHOW})
SELECT * FROM a
"""

# Only the first word of a scan buys time: logging in over and over must not. It also is what updated_at stays at until
# the pairing is over.
_SCANNED = f"""
WITH ours AS (
  -- Locked before its devices, as every statement does.
  SELECT a.id FROM whatsapp_private.attempts a
  WHERE a.id = %(id)s AND a.lease_id = %(lease)s AND a.ended_at IS NULL FOR UPDATE
), before AS (
  SELECT d.id, d.state FROM whatsapp_private.devices d JOIN ours ON d.attempt_id = ours.id
  WHERE d.lease_id = %(lease)s AND d.fingerprint = %(fingerprint)s AND d.state IN ('offered', 'linking')
  FOR UPDATE OF d
), bound AS (
  UPDATE whatsapp_private.devices d SET jid = %(jid)s, state = 'linking',
    updated_at = CASE WHEN before.state = 'offered' THEN now() ELSE d.updated_at END
  FROM before WHERE d.id = before.id
  RETURNING d.attempt_id, before.state = 'offered' AS first
), a AS (
  UPDATE whatsapp_private.attempts a SET qr_expires_at = NULL, deadline = CASE WHEN bound.first
    THEN greatest(a.deadline, now() + make_interval(secs => %(login)s)) ELSE a.deadline END
  FROM bound WHERE a.id = bound.attempt_id
  RETURNING {ATTEMPT}
), shown AS ({SHOW})
SELECT * FROM a
"""

_CONNECTED = f"""
WITH a AS (
  UPDATE whatsapp_private.attempts a SET
    ended_at = now(), outcome = '{CONNECTED}', failures = 0,
    lease_id = NULL, lease_expires_at = NULL, qr_expires_at = NULL
  WHERE a.id = %(id)s AND a.lease_id = %(lease)s AND a.ended_at IS NULL
  RETURNING {ATTEMPT}
), devices AS (
  -- What earlier legs have offered is nobody's now; cleanup looks after it.
  UPDATE whatsapp_private.devices d SET
    jid = CASE WHEN d.fingerprint = %(fingerprint)s THEN %(jid)s ELSE d.jid END,
    state = CASE WHEN d.fingerprint = %(fingerprint)s THEN 'linked' ELSE 'unlinking' END,
    lease_id = NULL, lease_expires_at = NULL, updated_at = now()
  FROM a WHERE d.attempt_id = a.id
), shown AS (
  INSERT INTO public.whatsapp_sessions AS s (user_id, session_status, phone_number, connected_at, last_seen)
  SELECT user_id, '{Status.CONNECTED}', %(number)s, now(), now() FROM a
  ON CONFLICT (user_id) DO UPDATE SET
    session_status = excluded.session_status, phone_number = excluded.phone_number, qr_code = NULL,
    connected_at = excluded.connected_at, last_seen = excluded.last_seen
)
-- The device as it was before this statement: untouched since its scan.
SELECT a.*, (
  SELECT extract(epoch FROM clock_timestamp() - d.updated_at)::float8
  FROM whatsapp_private.devices d WHERE d.fingerprint = %(fingerprint)s
) AS since_scan FROM a
"""

_RELEASE = f"""
WITH a AS (
  UPDATE whatsapp_private.attempts a SET
    verdict = coalesce(a.verdict, %(verdict)s), lease_id = NULL, lease_expires_at = NULL
  WHERE a.id = %(id)s AND a.lease_id = %(lease)s AND a.ended_at IS NULL
  RETURNING {ATTEMPT}
), devices AS (
  UPDATE whatsapp_private.devices d SET lease_id = NULL, lease_expires_at = NULL
  FROM a WHERE d.attempt_id = a.id AND d.lease_id = %(lease)s
)
SELECT * FROM a
"""

_LET_GO = """
WITH freed AS (
  UPDATE whatsapp_private.devices d SET lease_id = NULL, lease_expires_at = NULL
  WHERE d.attempt_id = %(id)s AND d.lease_id = %(lease)s
)
SELECT d.id FROM whatsapp_private.devices d
WHERE d.attempt_id = %(id)s AND d.state = 'unlinking' AND whatsapp_private.stored_jid(d.fingerprint) IS NOT NULL
"""


@dataclass(frozen=True)
class Linked:
    """A device that exists at WhatsApp: how the engine names it, and how our binding does."""

    jid: str = field(repr=False)
    fingerprint: bytes


@dataclass(frozen=True)
class Completed:
    """An attempt that has ended well, and the seconds since the phone scanned."""

    attempt: Attempt
    since_scan: float


class Leases(Table):
    """An attempt in the hands of its linker. Every method may raise ``StoreUnavailable``."""

    def take(self, attempt_id: UUID, lease: UUID) -> Attempt | None:
        """Become the attempt's one linker; None when it has one, has ended, or has its verdict."""
        return attempt_from(self._one_locked(LOCK, _TAKE, id=attempt_id, lease=lease, ttl=LEASE_SECONDS))

    def renew(self, attempt_id: UUID, lease: UUID, reachable: bool = True, showing: bool = True) -> Attempt | None:
        """Keep the lease of attempt and devices; None when it is lost: the linker must let go of WhatsApp at once.

        Parameters
        ----------
        reachable : bool
            Whether WhatsApp answered when it was last tried.
        showing : bool
            Whether the engine that brought the QR still runs; without it there is nothing to scan.
        """
        row = self._one(_RENEW, id=attempt_id, lease=lease, ttl=LEASE_SECONDS, reachable=reachable, showing=showing)
        return attempt_from(row)

    def resumable(self, attempt_id: UUID) -> Linked | None:
        """Return the device that a phone has linked for this attempt, if an earlier linker died right after it."""
        row = self._one(_RESUMABLE, id=attempt_id)
        return Linked(**row) if row else None

    def show_qr(self, attempt_id: UUID, lease: UUID, qr: str, seconds: float, fingerprint: bytes) -> Attempt | None:
        """Show a QR that lives for ``seconds``, and bind its device to the user before anybody can scan it."""
        row = self._one(
            _SHOW_QR,
            id=attempt_id,
            lease=lease,
            qr=qr,
            seconds=seconds,
            fingerprint=fingerprint,
            ttl=LEASE_SECONDS,
            status=Status.WAITING_QR,
        )
        return attempt_from(row)

    def scanned(self, attempt_id: UUID, lease: UUID, device: Linked) -> Attempt | None:
        """Note that a phone has linked the device: it gets time to log in, the QR disappears."""
        row = self._one(
            _SCANNED,
            id=attempt_id,
            lease=lease,
            fingerprint=device.fingerprint,
            jid=device.jid,
            login=LOGIN_SECONDS,
            status=Status.WAITING_QR,
            qr=None,
        )
        attempt = attempt_from(row)
        # The statement read the devices as they were before it.
        return replace(attempt, scanned=True) if attempt else None

    def connected(self, attempt_id: UUID, lease: UUID, device: Linked, number: str) -> Completed | None:
        """End the attempt well; None when it was not ours to end any more."""
        row = self._one(
            _CONNECTED, id=attempt_id, lease=lease, fingerprint=device.fingerprint, jid=device.jid, number=number
        )
        attempt = attempt_from(row)
        return Completed(attempt, row["since_scan"]) if row and attempt else None

    def release(self, attempt_id: UUID, lease: UUID, verdict: Reason | None) -> Attempt | None:
        """Let go of the lease and leave the verdict (None: another linker may try)."""
        return attempt_from(self._one(_RELEASE, id=attempt_id, lease=lease, verdict=verdict))

    def let_go(self, attempt_id: UUID, lease: UUID) -> list[UUID]:
        """Free the devices of an attempt that was lost; returns those that were given up and have keys."""
        return [row["id"] for row in self._all(_LET_GO, id=attempt_id, lease=lease)]
