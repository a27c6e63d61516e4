"""The sweeps of cleanup that change attempts and answers.

The first constants say which rows each sweep finds. The sweep uses them, and so does the dry run, which only counts.
"""

from collections.abc import Collection
from typing import ClassVar
from uuid import UUID

from whatsapp_pairing.runtime.sweep import Batch, Sweep

_OVERDUE = "whatsapp_private.attempts a WHERE a.ended_at IS NULL AND a.deadline < whatsapp_private.overdue_before()"

# Tokens and answers are kept for five minutes, because a repeated call still needs them.
_OLD_TOKENS = """
whatsapp_private.attempts a WHERE a.ended_at < now() - interval '5 minutes' AND a.task_token IS NOT NULL
"""
_OLD_ANSWERS = "whatsapp_private.answers a WHERE a.answered_at < now() - interval '5 minutes'"

# The newest attempt of each user is never superseded. An attempt is kept for as long as a device names it, because the
# session takes connected_at from the end of that attempt. With OFFSET 0, Postgres looks each attempt up in the index of
# devices. Without it, Postgres might read all devices.
_OLD_ATTEMPTS = """
whatsapp_private.attempts a
WHERE a.superseded AND a.ended_at < now() - make_interval(days => %(days)s)
  AND NOT EXISTS (SELECT FROM whatsapp_private.devices d WHERE d.attempt_id = a.id OFFSET 0)
"""

# `without` has the rows that the run could not change. Otherwise each further batch would find them again.
_READ_OVERDUE = f"SELECT a.id FROM {_OVERDUE} AND a.id <> ALL (%(without)s) ORDER BY a.deadline LIMIT %(size)s"

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
    """A sweep changes at most ``size`` rows in one transaction. Every method may raise ``DatabaseUnavailable``."""

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
        """Delete attempts that ended ``days`` days ago or earlier.

        Keep each user's newest attempt and those that a device names.
        """
        return self._swept(_DELETE_ATTEMPTS, _OLD_ATTEMPTS, size, days=days)
