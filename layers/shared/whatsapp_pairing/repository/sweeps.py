"""The statements of cleanup, in batches.

The first texts say which rows each sweep finds. The sweep and the dry run, which only counts, both use them.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

from psycopg.errors import ForeignKeyViolation

from whatsapp_pairing.database import Connection
from whatsapp_pairing.repository.table import Table
from whatsapp_pairing.session import OVERDUE_SECONDS

_OVERDUE = f"""
whatsapp_private.attempts a
WHERE a.ended_at IS NULL AND a.deadline < now() - make_interval(secs => {OVERDUE_SECONDS})
"""

# A repeated call still finds its answer, and its attempt's token, for five minutes.
_OLD_TOKENS = """
whatsapp_private.attempts a WHERE a.ended_at < now() - interval '5 minutes' AND a.task_token IS NOT NULL
"""
_OLD_ANSWERS = "whatsapp_private.answers a WHERE a.answered_at < now() - interval '5 minutes'"

_FREE = "(d.lease_expires_at IS NULL OR d.lease_expires_at <= now())"
_HAS_KEYS = "whatsapp_private.stored_jid(d.fingerprint) IS NOT NULL"

# Devices of deleted users. No user is left who could disconnect them.
_ORPHANS = f"""
whatsapp_private.devices d WHERE d.user_id IS NULL AND d.state <> 'unlinking' AND {_FREE}
"""

# A device is stored with its first QR, and its QRs can be scanned for 160 seconds.
_NEVER_SCANNED = f"""
whatsapp_private.devices d
WHERE d.state = 'unlinking' AND d.created_at < now() - interval '4 minutes' AND {_FREE} AND NOT {_HAS_KEYS}
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

_READ_OVERDUE = f"SELECT a.id FROM {_OVERDUE} ORDER BY a.deadline LIMIT %(limit)s"

# With an array, Postgres chooses the batch once and finds its rows by the primary key. With IN, it sometimes read the
# whole table for 200 rows, depending on the statistics of the last ANALYZE.
_CLEAR_TOKENS = f"""
UPDATE whatsapp_private.attempts SET task_token = NULL
WHERE id = ANY (ARRAY(SELECT a.id FROM {_OLD_TOKENS} ORDER BY a.ended_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_DELETE_ANSWERS = f"""
DELETE FROM whatsapp_private.answers
WHERE call_id = ANY (ARRAY(SELECT a.call_id FROM {_OLD_ANSWERS} ORDER BY a.answered_at LIMIT %(limit)s))
RETURNING call_id
"""

_GIVE_UP_ORPHANS = f"""
UPDATE whatsapp_private.devices SET state = 'unlinking', unlink_due_at = created_at + interval '4 minutes'
WHERE id = ANY (ARRAY(SELECT d.id FROM {_ORPHANS} ORDER BY d.created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_FORGET_NEVER_SCANNED = f"""
DELETE FROM whatsapp_private.devices
WHERE id = ANY (ARRAY(SELECT d.id FROM {_NEVER_SCANNED} ORDER BY d.created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_GIVE_UP_UNEXPLAINED = "SELECT whatsapp_private.give_up_unexplained_v1(%(limit)s) AS found"
_FORGET_CONTACTS = "SELECT whatsapp_private.forget_contacts_v1(%(limit)s) AS found"
_START_UNLINKS = "SELECT whatsapp_private.start_unlinks_v1(%(call)s, %(limit)s) AS devices"

# This statement and the next lock sessions in the order of user_id. Two runs at once could deadlock otherwise.
_TAKE_COUNTERS = f"""
INSERT INTO whatsapp_private.sessions AS mine (user_id, messages_sent, messages_received, last_seen)
SELECT c.user_id, greatest(c.messages_sent, 0), greatest(c.messages_received, 0),
       CASE WHEN c.last_seen BETWEEN 'epoch' AND now() THEN c.last_seen END
FROM (
  SELECT r.user_id, r.messages_sent, r.messages_received, r.last_seen FROM {_COUNTED} LIMIT %(limit)s
) AS c ORDER BY c.user_id
ON CONFLICT (user_id) DO UPDATE SET
  messages_sent = greatest(mine.messages_sent, excluded.messages_sent),
  messages_received = greatest(mine.messages_received, excluded.messages_received),
  last_seen = greatest(mine.last_seen, excluded.last_seen)
RETURNING user_id
"""

_MARK_WRONG = f"""
INSERT INTO whatsapp_private.sessions AS mine (user_id, version)
SELECT w.user_id, 1 FROM (SELECT r.user_id FROM {_WRONG} ORDER BY r.updated_at LIMIT %(limit)s) AS w ORDER BY w.user_id
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
       (SELECT count(*) FROM {_ORPHANS}) AS orphans_given_up,
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


class Sweeps(Table):
    """Batches of at most ``limit`` rows, each a transaction of its own. Every method may raise ``StoreUnavailable``."""

    def overdue_attempts(self, limit: int) -> list[UUID]:
        """Return live attempts whose window has been over for so long that their workflow must be gone."""
        return [row["id"] for row in self._all(_READ_OVERDUE, limit=limit)]

    def clear_tokens(self, limit: int) -> int:
        """Delete the task tokens of attempts that ended five minutes ago; returns how many."""
        return len(self._all(_CLEAR_TOKENS, limit=limit))

    def delete_answers(self, limit: int) -> int:
        """Delete the stored answers of calls that are five minutes old; returns how many."""
        return len(self._all(_DELETE_ANSWERS, limit=limit))

    def give_up_orphans(self, limit: int) -> int:
        """Mark the devices of deleted users for unlinking; returns how many."""
        return len(self._all(_GIVE_UP_ORPHANS, limit=limit))

    def give_up_unexplained(self, limit: int) -> int:
        """Give the keys that no binding explains a binding that is due for unlink; returns how many."""
        return self._found(_GIVE_UP_UNEXPLAINED, limit)

    def forget_never_scanned(self, limit: int) -> int:
        """Delete the rows of devices that were offered and never scanned; returns how many."""
        return len(self._all(_FORGET_NEVER_SCANNED, limit=limit))

    def start_unlinks(self, limit: int) -> list[UUID]:
        """Return given-up devices that are due for unlink and have keys; each again only after a growing pause."""
        row = self._one(_START_UNLINKS, call=uuid4(), limit=limit)
        assert row is not None
        devices: list[UUID] = row["devices"]
        return devices

    def forget_contacts(self, limit: int) -> int:
        """Delete what whatsmeow keeps of accounts and contacts, when no device is stored; returns how many entries."""
        return self._found(_FORGET_CONTACTS, limit)

    def take_counters(self, limit: int) -> int:
        """Copy the product's counters from users' rows where they have grown; returns how many rows."""
        return self._changed(_TAKE_COUNTERS, limit)

    def mark_wrong_rows(self, limit: int) -> int:
        """Mark users' rows that show a pairing or a device which does not exist as behind; returns how many."""
        return self._changed(_MARK_WRONG, limit)

    def _found(self, statement: str, limit: int) -> int:
        row = self._one(statement, limit=limit)
        assert row is not None
        found: int = row["found"]
        return found

    def _changed(self, statement: str, limit: int) -> int:
        """Return how many sessions a sweep has changed; none when a user of the batch was deleted in that moment."""

        def sweep(connection: Connection) -> int:
            try:
                return len(connection.execute(statement, {"limit": limit}).fetchall())
            except ForeignKeyViolation:
                return 0

        return self._database.run(sweep)

    def rows_behind(self, limit: int) -> list[Behind]:
        """Return users whose row is behind; each again only after a growing pause."""
        return [Behind(**row) for row in self._all(_TAKE_BEHIND, limit=limit)]

    def count(self) -> dict[str, int]:
        """Return how much each sweep would find now, by the names of ``cleaning.Swept``; changes nothing."""
        row = self._one(_COUNT)
        assert row is not None
        return row
