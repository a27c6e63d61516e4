"""The sweeps of cleanup about attempts and answers, in batches.

The first texts say which rows each sweep finds. The sweep and the dry run, which only counts, both use them.
"""

from collections.abc import Collection
from typing import ClassVar
from uuid import UUID

from whatsapp_pairing.runtime.sweep import Batch, Sweep

_OVERDUE = "whatsapp_private.attempts a WHERE a.ended_at IS NULL AND a.deadline < whatsapp_private.overdue_before()"

# A repeated call still finds its answer, and its attempt's token, for five minutes.
_OLD_TOKENS = """
whatsapp_private.attempts a WHERE a.ended_at < now() - interval '5 minutes' AND a.task_token IS NOT NULL
"""
_OLD_ANSWERS = "whatsapp_private.answers a WHERE a.answered_at < now() - interval '5 minutes'"

# The newest attempt of each user is never superseded. The session takes connected_at of a linked device from the end of
# its attempt, so an attempt is kept for as long as a device names it. OFFSET 0 makes Postgres look each attempt up in
# the index of devices; it might read all devices otherwise.
_OLD_ATTEMPTS = """
whatsapp_private.attempts a
WHERE a.superseded AND a.ended_at < now() - make_interval(days => %(days)s)
  AND NOT EXISTS (SELECT FROM whatsapp_private.devices d WHERE d.attempt_id = a.id OFFSET 0)
"""

# A run names the rows that it could not change. Otherwise each further batch would find them again.
_READ_OVERDUE = f"SELECT a.id FROM {_OVERDUE} AND a.id <> ALL (%(without)s) ORDER BY a.deadline LIMIT %(size)s"

# With an array, Postgres chooses the batch once and finds its rows by the primary key. With IN, it sometimes read the
# whole table for 200 rows, depending on the statistics of the last ANALYZE.
_CLEAR_TOKENS = f"""
UPDATE whatsapp_private.attempts SET task_token = NULL
WHERE id = ANY (ARRAY(SELECT a.id FROM {_OLD_TOKENS} ORDER BY a.ended_at LIMIT %(size)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_DELETE_ANSWERS = f"""
DELETE FROM whatsapp_private.answers
WHERE call_id = ANY (ARRAY(SELECT a.call_id FROM {_OLD_ANSWERS} ORDER BY a.answered_at LIMIT %(size)s
                           FOR UPDATE SKIP LOCKED))
RETURNING call_id
"""

_DELETE_ATTEMPTS = f"""
DELETE FROM whatsapp_private.attempts
WHERE id = ANY (ARRAY(SELECT a.id FROM {_OLD_ATTEMPTS} ORDER BY a.ended_at LIMIT %(size)s FOR UPDATE SKIP LOCKED))
RETURNING id
"""


class AttemptSweeps(Sweep):
    """Each sweep is a batch of at most ``size`` rows. Every method may raise ``DatabaseUnavailable``."""

    counts: ClassVar = {
        "attempts_ended": f"SELECT count(*) FROM {_OVERDUE}",
        "tokens_cleared": f"SELECT count(*) FROM {_OLD_TOKENS}",
        "answers_deleted": f"SELECT count(*) FROM {_OLD_ANSWERS}",
        "attempts_deleted": f"SELECT count(*) FROM {_OLD_ATTEMPTS}",
    }

    def overdue_attempts(self, size: int, without: Collection[UUID] = ()) -> list[UUID]:
        """Return live attempts whose window has been over for so long that their workflow must be gone."""
        return self._ids(_READ_OVERDUE, size, without)

    def clear_tokens(self, size: int) -> Batch:
        """Delete the task tokens of attempts that ended five minutes ago."""
        return self._swept(_CLEAR_TOKENS, _OLD_TOKENS, size)

    def delete_answers(self, size: int) -> Batch:
        """Delete the stored answers of calls that are five minutes old."""
        return self._swept(_DELETE_ANSWERS, _OLD_ANSWERS, size)

    def delete_attempts(self, size: int, days: int) -> Batch:
        """Delete attempts that ended so many days ago, but keep each user's newest and those that a device names."""
        return self._swept(_DELETE_ATTEMPTS, _OLD_ATTEMPTS, size, days=days)
