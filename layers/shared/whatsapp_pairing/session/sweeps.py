"""The sweeps of cleanup that change sessions: the product's counters, and session rows that are wrong or behind.

The first constants say which rows each sweep finds. The sweep uses them, and so does the dry run, which only counts.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from whatsapp_pairing.runtime.sweep import Sweep

# The product writes message counters and last_seen into the session row. Cleanup copies them into the session, which
# shows them. A session row that has not changed for an hour is left out, because an earlier run has copied it.
_COUNTED = """
public.whatsapp_sessions r
WHERE r.updated_at > now() - interval '1 hour' AND coalesce((
  SELECT r.messages_sent > s.messages_sent OR r.messages_received > s.messages_received
    OR coalesce(r.last_seen > coalesce(s.last_seen, 'epoch') AND r.last_seen <= now(), false)
  FROM whatsapp_private.sessions s WHERE s.user_id = r.user_id
), r.messages_sent > 0 OR r.messages_received > 0 OR r.last_seen BETWEEN 'epoch' AND now())
"""

# Session rows that show a pairing or a linked device that does not exist. The user or the product's earlier code wrote
# them. A session row that is marked as behind is left out: the sweep of rows that are behind writes it.
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

# `without` has the rows that the run could not change. Otherwise each further batch would find them again.
_READ_COUNTED = f"SELECT r.user_id AS id FROM {_COUNTED} AND r.user_id <> ALL (%(without)s) LIMIT %(size)s"
_READ_WRONG = f"""
SELECT r.user_id AS id FROM {_WRONG} AND r.user_id <> ALL (%(without)s) ORDER BY r.updated_at LIMIT %(size)s
"""

_COUNT_BEHIND = f"SELECT count(*) AS due FROM {_BEHIND}"

# This statement and the next one lock sessions in the order of user_id. Otherwise two runs at once could deadlock.
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

# A session row that cannot be written is due again after a pause. The pause is as long as the row has been behind, but
# at least five minutes and at most a day. Otherwise such rows would fill every batch and keep others out.
_TAKE_BEHIND = f"""
UPDATE whatsapp_private.sessions SET
  show_due_at = now() + least(greatest(now() - changed_at, interval '5 minutes'), interval '1 day')
WHERE user_id = ANY (ARRAY(SELECT s.user_id FROM {_BEHIND} ORDER BY s.show_due_at LIMIT %(size)s
                           FOR UPDATE SKIP LOCKED))
RETURNING user_id, version
"""


@dataclass(frozen=True)
class Behind:
    """A user whose session row does not show this version of the session."""

    user_id: UUID
    version: int


class SessionSweeps(Sweep):
    """A sweep changes at most ``size`` rows in one transaction. Every method may raise ``DatabaseUnavailable``."""

    counts: ClassVar = {
        "counters_taken": f"SELECT count(*) FROM {_COUNTED}",
        "rows_written": f"SELECT (SELECT count(*) FROM {_WRONG}) + (SELECT count(*) FROM {_BEHIND})",
    }

    def counted_users(self, size: int, without: Collection[UUID] = ()) -> list[UUID]:
        """Return users in whose session row the product's counters have grown."""
        return self._ids(_READ_COUNTED, size, without)

    def take_counters(self, users: Collection[UUID]) -> int:
        """Copy the counters that have grown from these users' session rows. Return how many sessions have changed."""
        return len(self._all(_TAKE_COUNTERS, users=list(users)))

    def users_with_wrong_rows(self, size: int, without: Collection[UUID] = ()) -> list[UUID]:
        """Return users whose session row shows a pairing or a device that does not exist."""
        return self._ids(_READ_WRONG, size, without)

    def mark_wrong_rows(self, users: Collection[UUID]) -> int:
        """Mark these users' session rows as behind if they are still wrong. Return how many."""
        return len(self._all(_MARK_WRONG, users=list(users)))

    def rows_behind(self, size: int) -> list[Behind]:
        """Return users whose session row is behind. A user comes again only after a growing pause."""
        return [Behind(**row) for row in self._all(_TAKE_BEHIND, size=size)]

    def rows_due(self) -> int:
        """Return how many session rows are due. If the last batch was not full, they are locked."""
        return self._due(_COUNT_BEHIND)
