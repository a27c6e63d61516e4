"""The statements of cleanup, in batches.

The first texts say which rows each sweep finds. The sweep and the dry run, which only counts, both use them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID, uuid4

from whatsapp_pairing.repository.table import Table

_OVERDUE = "whatsapp_private.attempts a WHERE a.ended_at IS NULL AND a.deadline < whatsapp_private.overdue_before()"

# A repeated call still finds its answer, and its attempt's token, for five minutes.
_OLD_TOKENS = """
whatsapp_private.attempts a WHERE a.ended_at < now() - interval '5 minutes' AND a.task_token IS NOT NULL
"""
_OLD_ANSWERS = "whatsapp_private.answers a WHERE a.answered_at < now() - interval '5 minutes'"

_FREE = "(d.lease_expires_at IS NULL OR d.lease_expires_at <= now())"
_HAS_KEYS = "whatsapp_private.stored_jid(d.fingerprint) IS NOT NULL"

# The newest attempt of each user is never superseded. The session takes connected_at of a linked device from the end of
# its attempt, so an attempt is kept for as long as a device names it. OFFSET 0 makes Postgres look each attempt up in
# the index of devices; it might read all devices otherwise.
_OLD_ATTEMPTS = """
whatsapp_private.attempts a
WHERE a.superseded AND a.ended_at < now() - make_interval(days => %(days)s)
  AND NOT EXISTS (SELECT FROM whatsapp_private.devices d WHERE d.attempt_id = a.id OFFSET 0)
"""

# Devices of deleted users. No user is left who could disconnect them.
_ORPHANS = f"""
whatsapp_private.devices d WHERE d.user_id IS NULL AND d.state <> 'unlinking' AND {_FREE}
"""

# Stray devices are offered or scanned, although their attempt has ended or does not exist. Each end of an attempt gives
# its devices up, so there is a stray only after something went wrong.
_STRAYS = f"""
whatsapp_private.devices d
WHERE d.user_id IS NOT NULL AND d.state IN ('offered', 'linking') AND {_FREE} AND NOT EXISTS (
  SELECT FROM whatsapp_private.attempts a WHERE a.id = d.attempt_id AND a.ended_at IS NULL OFFSET 0
)
"""

# A device is stored with its first QR, and nobody can scan its QRs after the first pause (unlink_pause_v1).
_NEVER_SCANNED = f"""
whatsapp_private.devices d
WHERE d.state = 'unlinking' AND d.created_at < now() - whatsapp_private.unlink_pause_v1(0)
  AND {_FREE} AND NOT {_HAS_KEYS}
"""

_TO_UNLINK = f"""
whatsapp_private.devices d WHERE d.state = 'unlinking' AND d.unlink_due_at <= now() AND {_FREE} AND {_HAS_KEYS}
"""

# The product writes message counters and last_seen into the user's row, and the session shows them. Rows that have not
# changed for an hour are left out: an earlier run has taken them over.
_COUNTED = """
public.whatsapp_sessions r
WHERE r.updated_at > now() - interval '1 hour' AND coalesce((
  SELECT r.messages_sent > s.messages_sent OR r.messages_received > s.messages_received
    OR coalesce(r.last_seen > coalesce(s.last_seen, 'epoch') AND r.last_seen <= now(), false)
  FROM whatsapp_private.sessions s WHERE s.user_id = r.user_id
), r.messages_sent > 0 OR r.messages_received > 0 OR r.last_seen BETWEEN 'epoch' AND now())
"""

# Rows that show a pairing or a linked device that does not exist. The user or the product's earlier code wrote them. A
# row that is marked as behind already waits for its show_due_at.
_WRONG = """
(
  SELECT r.user_id, r.updated_at FROM public.whatsapp_sessions r
  WHERE r.session_status IN ('connecting', 'waiting_qr')
    AND NOT r.updated_at BETWEEN now() - interval '5 minutes' AND now()
    AND NOT EXISTS (SELECT FROM whatsapp_private.attempts a WHERE a.user_id = r.user_id AND a.ended_at IS NULL)
  UNION ALL
  SELECT r.user_id, r.updated_at FROM public.whatsapp_sessions r
  WHERE r.session_status = 'connected' AND r.updated_at > now() - interval '1 hour'
    AND NOT EXISTS (SELECT FROM whatsapp_private.devices d WHERE d.user_id = r.user_id AND d.state = 'linked')
) AS r
WHERE coalesce((SELECT NOT s.behind FROM whatsapp_private.sessions s WHERE s.user_id = r.user_id), true)
"""

_BEHIND = "whatsapp_private.sessions s WHERE s.behind AND s.show_due_at <= now()"

# A run names the rows that it could not change. Otherwise each further batch would find them again.
_READ_OVERDUE = f"SELECT a.id FROM {_OVERDUE} AND a.id <> ALL (%(without)s) ORDER BY a.deadline LIMIT %(limit)s"

# With an array, Postgres chooses the batch once and finds its rows by the primary key. With IN, it sometimes read the
# whole table for 200 rows, depending on the statistics of the last ANALYZE.
_CLEAR_TOKENS = f"""
UPDATE whatsapp_private.attempts SET task_token = NULL
WHERE id = ANY (ARRAY(SELECT a.id FROM {_OLD_TOKENS} ORDER BY a.ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_DELETE_ANSWERS = f"""
DELETE FROM whatsapp_private.answers
WHERE call_id = ANY (ARRAY(SELECT a.call_id FROM {_OLD_ANSWERS} ORDER BY a.answered_at LIMIT %(limit)s
                           FOR UPDATE SKIP LOCKED))
RETURNING call_id
"""

_DELETE_ATTEMPTS = f"""
DELETE FROM whatsapp_private.attempts
WHERE id = ANY (ARRAY(SELECT a.id FROM {_OLD_ATTEMPTS} ORDER BY a.ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_GIVE_UP_ORPHANS, _GIVE_UP_STRAYS = (
    f"""
    UPDATE whatsapp_private.devices SET
      state = 'unlinking', unlink_due_at = created_at + whatsapp_private.unlink_pause_v1(0)
    WHERE id = ANY (ARRAY(SELECT d.id FROM {devices} ORDER BY d.created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING id
    """
    for devices in (_ORPHANS, _STRAYS)
)

_FORGET_NEVER_SCANNED = f"""
DELETE FROM whatsapp_private.devices
WHERE id = ANY (ARRAY(SELECT d.id FROM {_NEVER_SCANNED} ORDER BY d.created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_GIVE_UP_UNEXPLAINED = "SELECT whatsapp_private.give_up_unexplained_v1(%(limit)s) AS found"
_FORGET_CONTACTS = "SELECT whatsapp_private.forget_contacts_v1(%(limit)s) AS found"
_START_UNLINKS = "SELECT whatsapp_private.start_unlinks_v1(%(call)s, %(limit)s) AS devices"
_COUNT_UNLINKS = f"SELECT count(*) AS due FROM {_TO_UNLINK}"
_COUNT_BEHIND = f"SELECT count(*) AS due FROM {_BEHIND}"

_READ_COUNTED = f"SELECT r.user_id AS id FROM {_COUNTED} AND r.user_id <> ALL (%(without)s) LIMIT %(limit)s"
_READ_WRONG = f"""
SELECT r.user_id AS id FROM {_WRONG} AND r.user_id <> ALL (%(without)s) ORDER BY r.updated_at LIMIT %(limit)s
"""

# This statement and the next lock sessions in the order of user_id. Two runs at once could deadlock otherwise.
_TAKE_COUNTERS = f"""
INSERT INTO whatsapp_private.sessions AS mine (user_id, messages_sent, messages_received, last_seen)
SELECT c.user_id, greatest(c.messages_sent, 0), greatest(c.messages_received, 0),
       CASE WHEN c.last_seen BETWEEN 'epoch' AND now() THEN c.last_seen END
FROM (
  SELECT r.user_id, r.messages_sent, r.messages_received, r.last_seen FROM {_COUNTED} AND r.user_id = ANY (%(users)s)
) AS c ORDER BY c.user_id
ON CONFLICT (user_id) DO UPDATE SET
  messages_sent = greatest(mine.messages_sent, excluded.messages_sent),
  messages_received = greatest(mine.messages_received, excluded.messages_received),
  last_seen = greatest(mine.last_seen, excluded.last_seen)
RETURNING user_id
"""

_MARK_WRONG = f"""
INSERT INTO whatsapp_private.sessions AS mine (user_id, version)
SELECT w.user_id, 1 FROM (SELECT r.user_id FROM {_WRONG} AND r.user_id = ANY (%(users)s)) AS w ORDER BY w.user_id
ON CONFLICT (user_id) DO UPDATE SET version = mine.version + 1, changed_at = now(), show_due_at = now()
RETURNING user_id
"""

# A row that cannot be written is due again after as long as it has been behind, from five minutes to a day. Otherwise
# such rows would fill every batch and keep others out.
_TAKE_BEHIND = f"""
UPDATE whatsapp_private.sessions SET
  show_due_at = now() + least(greatest(now() - changed_at, interval '5 minutes'), interval '1 day')
WHERE user_id = ANY (ARRAY(SELECT s.user_id FROM {_BEHIND} ORDER BY s.show_due_at LIMIT %(limit)s
                           FOR UPDATE SKIP LOCKED))
RETURNING user_id, version
"""

_COUNT = f"""
SELECT (SELECT count(*) FROM {_OVERDUE}) AS attempts_ended,
       (SELECT count(*) FROM {_OLD_TOKENS}) AS tokens_cleared,
       (SELECT count(*) FROM {_OLD_ANSWERS}) AS answers_deleted,
       (SELECT count(*) FROM {_OLD_ATTEMPTS}) AS attempts_deleted,
       (SELECT count(*) FROM {_ORPHANS}) AS orphans_given_up,
       (SELECT count(*) FROM {_STRAYS}) AS strays_given_up,
       (SELECT count(*) FROM whatsapp_private.unexplained_keys_v1(NULL, now())) AS keys_given_up,
       (SELECT count(*) FROM {_NEVER_SCANNED}) AS bindings_forgotten,
       (SELECT count(*) FROM {_TO_UNLINK}) AS unlinks_started,
       (SELECT whatsapp_private.count_contacts_v1()) AS contacts_forgotten,
       (SELECT count(*) FROM {_COUNTED}) AS counters_taken,
       (SELECT count(*) FROM {_WRONG}) + (SELECT count(*) FROM {_BEHIND}) AS rows_written
"""


@dataclass(frozen=True)
class Behind:
    """A user whose row does not show this version of the session."""

    user_id: UUID
    version: int


@dataclass(frozen=True)
class Batch:
    """The number of rows that a batch has changed, and of rows that it has left because they were locked."""

    done: int
    left: int = 0


class Sweeps(Table):
    """Batches of at most ``limit`` rows, each a transaction of its own. Every method may raise ``StoreUnavailable``.

    A batch passes over rows that another transaction has locked. Three sweeps cannot do that, because they may wait for
    a user's lock. Each of the three has one call that finds rows and another that changes them. So the caller can go on
    without the rows that could not be changed (``without``).
    """

    def overdue_attempts(self, limit: int, without: Collection[UUID] = ()) -> list[UUID]:
        """Return live attempts whose window has been over for so long that their workflow must be gone."""
        return self._ids(_READ_OVERDUE, limit, without)

    def clear_tokens(self, limit: int) -> Batch:
        """Delete the task tokens of attempts that ended five minutes ago."""
        return self._swept(_CLEAR_TOKENS, _OLD_TOKENS, limit)

    def delete_answers(self, limit: int) -> Batch:
        """Delete the stored answers of calls that are five minutes old."""
        return self._swept(_DELETE_ANSWERS, _OLD_ANSWERS, limit)

    def delete_attempts(self, limit: int, days: int) -> Batch:
        """Delete attempts that ended so many days ago, but keep each user's newest and those that a device names."""
        return self._swept(_DELETE_ATTEMPTS, _OLD_ATTEMPTS, limit, days=days)

    def give_up_orphans(self, limit: int) -> Batch:
        """Mark the devices of deleted users for unlinking."""
        return self._swept(_GIVE_UP_ORPHANS, _ORPHANS, limit)

    def give_up_strays(self, limit: int) -> Batch:
        """Mark the stray devices, which no live attempt explains, for unlinking."""
        return self._swept(_GIVE_UP_STRAYS, _STRAYS, limit)

    def give_up_unexplained(self, limit: int) -> Batch:
        """Give keys without a binding a binding that is due for unlink."""
        return self._found(_GIVE_UP_UNEXPLAINED, limit)

    def forget_never_scanned(self, limit: int) -> Batch:
        """Delete the rows of devices that were offered and never scanned."""
        return self._swept(_FORGET_NEVER_SCANNED, _NEVER_SCANNED, limit)

    def start_unlinks(self, limit: int) -> list[UUID]:
        """Return given-up devices that are due for unlink and have keys; each again only after a growing pause."""
        row = self._one(_START_UNLINKS, call=uuid4(), limit=limit)
        assert row is not None
        devices: list[UUID] = row["devices"]
        return devices

    def unlinks_due(self) -> int:
        """Return how many unlinks are due. After ``start_unlinks`` found fewer than its limit, these are locked."""
        return self._due(_COUNT_UNLINKS)

    def forget_contacts(self, limit: int) -> Batch:
        """Delete what whatsmeow keeps of accounts and contacts, when no device is stored."""
        return self._found(_FORGET_CONTACTS, limit)

    def counted_users(self, limit: int, without: Collection[UUID] = ()) -> list[UUID]:
        """Return users in whose row the product's counters have grown."""
        return self._ids(_READ_COUNTED, limit, without)

    def take_counters(self, users: Collection[UUID]) -> int:
        """Copy the product's counters from these users' rows where they have grown; returns how many rows."""
        return len(self._all(_TAKE_COUNTERS, users=list(users)))

    def users_with_wrong_rows(self, limit: int, without: Collection[UUID] = ()) -> list[UUID]:
        """Return users whose row shows a pairing or a device which does not exist."""
        return self._ids(_READ_WRONG, limit, without)

    def mark_wrong_rows(self, users: Collection[UUID]) -> int:
        """Mark these users' rows as behind where they are still wrong; returns how many."""
        return len(self._all(_MARK_WRONG, users=list(users)))

    def rows_behind(self, limit: int) -> list[Behind]:
        """Return users whose row is behind; each again only after a growing pause."""
        return [Behind(**row) for row in self._all(_TAKE_BEHIND, limit=limit)]

    def rows_due(self) -> int:
        """Return how many rows are due. After ``rows_behind`` found fewer than its limit, their sessions are locked."""
        return self._due(_COUNT_BEHIND)

    def count(self, days: int) -> dict[str, int]:
        """Return how much each sweep would find now, by the names of ``cleaning.Swept``; changes nothing."""
        row = self._one(_COUNT, days=days)
        assert row is not None
        return row

    def _found(self, statement: str, limit: int) -> Batch:
        row = self._one(statement, limit=limit)
        assert row is not None
        return Batch(row["found"])

    def _due(self, statement: str) -> int:
        row = self._one(statement)
        assert row is not None
        due: int = row["due"]
        return due

    def _ids(self, statement: str, limit: int, without: Collection[UUID]) -> list[UUID]:
        return [row["id"] for row in self._all(statement, limit=limit, without=list(without))]

    def _swept(self, change: str, due: str, limit: int, **parameters: object) -> Batch:
        # The count sees the rows as they were before the change. So when the batch is not full, the difference is the
        # number of locked rows.
        statement = f"""
        WITH changed AS ({change})
        SELECT (SELECT count(*) FROM changed) AS done,
               CASE WHEN (SELECT count(*) FROM changed) < %(limit)s THEN (SELECT count(*) FROM {due}) END AS due
        """
        row = self._one(statement, limit=limit, **parameters)
        assert row is not None
        return Batch(row["done"], max(0, (row["due"] or 0) - row["done"]))
